"""What an exported web folder answers, asked without a browser: its own scripts and its runtime, in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export.onnx_folder import open_graph
from stillhouse.export.subject import Kind, Subject
from stillhouse.export.verify import Floats, Parity, Samples, Tolerance, answers, compare, shares
from stillhouse.models.tokenizers import Ids, read_ids

__all__ = ["WEB_TOLERANCE", "ask_in_node", "no_node", "served_shares", "verify_web"]

SCRIPT = Path(__file__).with_name("web_check.mjs")
PATIENCE = 600
"""Seconds that all answers may take."""
WEB_TOLERANCE = Tolerance(agreement=0.97, difference=0.2)
"""Both runtimes make integers of activations anew, and round some the other way; with 4-bit weights only one does.
Texts that are drawn say little and are often near a tie."""


def no_node() -> str | None:
    """What is missing to run an exported folder here, if anything is."""
    try:
        _node()
    except UsageError as error:
        return str(error)
    return None


def verify_web(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """What the folder's own scripts and runtime answer in Node, compared row by row with the student.

    Of a bundle that is the student as it is served, in the precision that was certified; else the student itself.
    """
    if subject.kind is Kind.IMAGE and samples.pixels is not None:
        with TemporaryDirectory() as place:
            file = Path(place) / "pixels"
            file.write_bytes(samples.pixels.astype("<f4").tobytes())
            asked = {"pixels": {"file": str(file), "shape": list(samples.pixels.shape)}}
            return compare(answers(subject, samples), _shares(ask_in_node(folder, asked)))
    found = _shares(ask_in_node(folder, {"texts": list(samples.texts)}))
    if subject.manifest is None:
        return compare(answers(subject, Samples(ids=_read(subject, folder, samples.texts))), found)
    return compare(served_shares(subject, samples), found)


def _shares(answers: Sequence[Any]) -> list[Floats]:
    """The probabilities of every label, one `[rows, labels]` array per field."""
    fields = range(len(answers[0]["fields"])) if answers else ()
    return [np.asarray([answer["fields"][at]["shares"] for answer in answers], dtype=np.float32) for at in fields]


def served_shares(subject: Subject, samples: Samples) -> list[Floats]:
    """What a bundle's graph says of each row by itself: beside others its integers would be scaled otherwise."""
    assert subject.manifest is not None
    session = open_graph(subject.folder / "student" / "model.onnx", threads=1)
    rows = [
        session.run(["logits"], {"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]})[0]
        for ids in samples.ids
    ]
    heats = np.repeat(np.asarray(subject.manifest.temperatures, dtype=np.float32), subject.fields)
    return shares((np.concatenate(rows) / heats).astype(np.float32), subject.fields)


def _read(subject: Subject, folder: Path, texts: Sequence[str]) -> tuple[Ids, ...]:
    """The ids of texts, cut where the page cuts them."""
    limit = json.loads((folder / "reader.json").read_text(encoding="utf-8"))["reader"]["limit"]
    return tuple(read_ids(texts, Tokenizer.from_file(str(subject.tokenizer)), limit)[0])


def ask_in_node(folder: Path, questions: Mapping[str, Any]) -> list[Any]:
    """Every answer of the student in `folder` to `texts`, `pictures` or `pixels`; to `read`, the ids of each text.

    Raises ExportMismatch where it breaks down.
    """
    try:
        done = subprocess.run(
            [_node(), str(SCRIPT), str(folder)],
            input=json.dumps(questions),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportMismatch(f"The student in {folder} did not answer within {PATIENCE} seconds in Node.") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()[-1:] or ["?"]
        raise ExportMismatch(f"The student in {folder} does not run in Node: {said[0].strip()}")
    answers: list[Any] = json.loads(done.stdout)
    return answers


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        raise UsageError("Node runs the check of a web export, and it is not installed. Install Node 20 or newer.")
    return node
