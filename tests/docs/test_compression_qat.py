"""What the page shows runs, one piece after the other, on small models."""

from __future__ import annotations

import copy
import re

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from stillhouse.compression.fake_quantize import InputRange
from stillhouse.compression.integer import IntegerLinear
from stillhouse.compression.qat import Bits
from tests.compression.subjects import subject
from tests.models import tiny
from tests.structure.source import ROOT
from tests.training.pupils import ROWS, pupil, score, task

PAGE = (ROOT / "docs" / "compression-qat.md").read_text(encoding="utf-8")
LANGUAGE, FOLD, LOOP, EXPORT = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(*pieces: str, **known) -> dict:
    """The names that are there after pieces of the page were run one after the other."""
    for piece in pieces:
        exec(compile(piece, "compression-qat.md", "exec"), known)
    return known


def language_model() -> dict:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.wordpiece(), pad_token="[PAD]", eos_token="[SEP]")
    texts = [" ".join(tiny.WORDS[(at + step) % 11] for step in range(6)) for at in range(20)]
    return {"teacher": subject("llama").model.model, "texts": texts, "tokenizer": tokenizer}


def test_a_language_model_learns_with_four_bits_and_becomes_integers():
    found = run(LANGUAGE, **language_model())
    assert found["done"].after["kl_to_teacher"] < found["done"].before["kl_to_teacher"]
    assert any(isinstance(part, IntegerLinear) for part in found["small"].modules())


def test_batch_norms_are_folded():
    made = subject("resnet")
    found = run(FOLD, copy=copy, network=made.model.model, pixels=made.inputs["pixel_values"])
    assert found["network"] is not made.model.model


@pytest.mark.slow
def test_a_loop_of_ones_own_freezes_ranges_and_its_student_is_exported(tmp_path):
    whole = pupil("encoder").eval()
    batches = [task().batch(range(at, at + 8)).inputs for at in (0, 8)]
    imports = LANGUAGE.partition("student =")[0]
    known = {"whole": whole, "batches": batches, "task": task(), "rows": ROWS, "score": score, "folder": tmp_path}
    found = run(imports, LOOP, **known)
    ranges = [part for part in found["student"].modules() if isinstance(part, InputRange)]
    assert ranges
    assert all(int(part.batches) > len(batches) for part in ranges), "training went on with what was observed"
    found["freeze_late"](8, 10, "")
    assert all(part.frozen for part in ranges)
    found = run(EXPORT, **found | {"classifier": found["student"]})
    ids = tiny.ids(3, 9)
    feeds = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    served = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    with torch.no_grad():
        promised = found["student"].eval()(**feeds).numpy()
    assert np.abs(served - promised).max() < 0.05 * np.abs(promised).max()


def test_the_table_of_bits_is_whole():
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.+?) \|$", PAGE, re.MULTILINE))
    given = Bits()
    shown = {name: {"none": (), "`widest`": "widest"}.get(value, value) for name, value in rows.items()}
    assert {name: str(value) for name, value in shown.items()} == {
        name: str(getattr(given, name)) for name in Bits.__dataclass_fields__
    }
