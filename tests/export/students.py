"""Bundles with students of random weights, exported and quantised as those that were trained."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from stillhouse.artifacts import hash_file
from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.manifest import Featurizer, Manifest
from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.compression.quantize import quantize
from stillhouse.compression.scheme import Scheme
from stillhouse.export.onnx import export_onnx
from stillhouse.recipes.write_bundle import TRAINED
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.static import StaticStudent
from stillhouse.students.student import Student
from stillhouse.students.trained import save_trained
from stillhouse.students.words import WordsStudent
from tests.models import tiny

ONE = AnswerForm((Field(None, tuple(f"topic {at} ✓" for at in range(11))),), (0,))
TWO = AnswerForm(
    (Field("intent", tuple(f'"wish_{at}"' for at in range(9))), Field("priority", ("1", "2", "null"))),
    ('{"intent": ', 0, ', "priority": ', 1, "}"),
)
BUCKETS, TOKENS = 997, 24


def make_bundle(
    folder: Path, family: str, form: AnswerForm = ONE, precision: str = "int8", keep: Literal["start", "end"] = "end"
) -> Path:
    """A bundle with a student of random weights, and all that serving and exporting need."""
    (folder / "student").mkdir(parents=True)
    (folder / TRAINED).mkdir()
    student, graph = _exported(family, sum(len(field.labels) for field in form.fields))
    whole, model = folder / ".whole", folder / "student" / "model.onnx"
    whole.write_bytes(graph)
    if precision == "float32":
        whole.rename(model)
    else:
        quantize(whole, model, Scheme.named(precision))
        whole.unlink()
    if family != "words":
        tiny.wordpiece().save(str(folder / "student" / "tokenizer.json"))
    save_trained(student, folder / TRAINED)
    kept = {part: {f"{part}/{file.name}": hash_file(file) for file in (folder / part).iterdir()} for part in _PARTS}
    manifest = Manifest(
        name=f"desk {family}",
        student=family,
        teacher="gpt-4.1",
        prompt=PromptForm((Message("system", "Secret words."),), prefix="Customer: ", suffix="\nAnswer:"),
        answer=form,
        featurizer=Featurizer("ngrams", TOKENS * 8, BUCKETS)
        if family == "words"
        else Featurizer("tokenizer", TOKENS, keep=keep),
        temperatures=tuple(0.8 + 0.3 * at for at in range(len(form.fields))),
        threshold=0.5,
        files=kept["student"],
        run={TRAINED: kept[TRAINED]},
    )
    (folder / "stillhouse.json").write_text(json.dumps(manifest.to_json()))
    return folder


_PARTS = ("student", TRAINED)


@cache
def _exported(family: str, labels: int) -> tuple[Student, bytes]:
    """A student and its graph in float32."""
    student = _student(family, labels).eval()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(student, path)
        return student, path.read_bytes()


def _student(family: str, labels: int) -> Student:
    torch.manual_seed(3)
    if family == "words":
        student = WordsStudent(BUCKETS, labels)
        torch.nn.init.normal_(student.table.weight)
        return student
    if family == "static":
        return StaticStudent(torch.randn(tiny.TOKENS, 32), labels)
    encoded = EncoderStudent(tiny.encoder(), labels)
    torch.nn.init.normal_(encoded.head.weight)
    return encoded
