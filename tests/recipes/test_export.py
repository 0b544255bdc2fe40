"""An export appears whole and verified, or not at all."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, ResNetConfig, ResNetForImageClassification

from stillhouse.artifacts import hash_file, hash_folder
from stillhouse.compression.low_rank import LowRank, factor
from stillhouse.errors import BundleError, ExportMismatch, UsageError
from stillhouse.export.c_build import require_compiler
from stillhouse.export.subject import Exported
from stillhouse.export.verify import Parity
from stillhouse.extras import installed
from stillhouse.models.factored import has_factors, save_model
from stillhouse.recipes import export as exporting
from stillhouse.recipes.export import RECORD, TARGETS, Target, export_student
from tests.export.gguf_students import student
from tests.export.opened import subject
from tests.recipes.runs import calls, start, write


@pytest.mark.parametrize(
    "kind", ["bert-classifier", "vit", "distilbert", pytest.param("llama", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("to", ["onnx", "safetensors"])
def test_every_kind_is_exported_and_says_how_alike_it_answers(kind, to, tmp_path):
    folder = subject(kind, tmp_path).folder
    heard: list[str] = []
    outcome = export_student(folder, to, tmp_path / "out", tell=heard.append)
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert outcome.parity.agreement == 1.0
    assert outcome.parity.largest_difference < 1e-3
    assert record["parity"]["rows"] == outcome.parity.rows > 0
    assert record["from"]["name"] == kind
    for name, digest in record["files"].items():
        assert hash_file(tmp_path / "out" / name) == digest
    assert len(heard) == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(("to", "has"), [("safetensors", False), ("gguf-f32", False), ("onnx", True)])
def test_factors_are_multiplied_out_for_those_who_know_none(to, has, tmp_path):
    kind = "bert-classifier" if to != "gguf-f32" else "llama"
    found = subject(kind, tmp_path)
    model = found.transformer
    batches = [{"input_ids": torch.randint(1, 30, (4, 8)), "attention_mask": torch.ones(4, 8, dtype=torch.long)}]
    factor(model, batches, LowRank(keep=0.5, embeddings=False))
    save_model(model, found.folder)
    outcome = export_student(found.folder, to, tmp_path / "out")
    assert outcome.parity.agreement == 1.0
    assert any("factors were multiplied out" in note for note in outcome.notes) == (not has)
    if to == "safetensors":
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
        assert not has_factors(again)


def network_and_pictures(folder: Path) -> Path:
    """A small network of pictures, sure of what it says as one that has learnt, and `pictures.npz` beside it."""
    torch.manual_seed(0)
    config = ResNetConfig(num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    config.num_labels, config.image_size = 3, 16
    network = ResNetForImageClassification(config)
    with torch.no_grad():
        network.classifier[1].weight *= 20
    network.save_pretrained(folder / "network")
    bright = np.linspace(0, 200, 40).astype(int)[:, None, None]  # noise alone looks all the same to it
    images = (bright + np.random.default_rng(0).integers(0, 50, (40, 16, 16))).astype(np.uint8)
    np.savez(folder / "pictures.npz", images=images)
    return folder / "network"


def test_pictures_choose_the_ranges_of_a_student_in_c(tmp_path):
    require_compiler()
    folder = network_and_pictures(tmp_path)
    with pytest.raises(UsageError, match="--pictures"):
        export_student(folder, "c", tmp_path / "out")
    with pytest.raises(UsageError, match="these do: executorch-int8, c"):
        export_student(folder, "onnx", tmp_path / "out", pictures=tmp_path / "pictures.npz")
    assert not (tmp_path / "out").exists()
    outcome = export_student(folder, "c", tmp_path / "out", pictures=tmp_path / "pictures.npz")
    assert outcome.samples == "40 images of pictures.npz"
    assert outcome.parity.agreement >= 0.97
    assert (tmp_path / "out" / "student.c").is_file()


@pytest.mark.slow
def test_they_choose_those_of_a_student_for_executorch_too(tmp_path):
    if not installed("executorch"):
        pytest.skip("needs executorch: pip install executorch")
    folder = network_and_pictures(tmp_path)
    with pytest.raises(UsageError, match="--pictures"):
        export_student(folder, "executorch-int8", tmp_path / "out")
    outcome = export_student(folder, "executorch-int8", tmp_path / "out", pictures=tmp_path / "pictures.npz")
    assert (outcome.parity.rows, outcome.samples) == (40, "40 images of pictures.npz")
    assert outcome.parity.largest_difference > 1e-4, "it is written in whole numbers"


@pytest.mark.slow
def test_two_exports_of_one_bundle_are_the_same_bytes(encoded, tmp_path):
    for name in ("one", "two"):
        export_student(encoded, "onnx", tmp_path / name)
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "two")


def test_it_is_compared_on_the_rows_of_a_file(plain, tmp_path):
    file = write(tmp_path / "rows.jsonl", calls(("a", "b"), 37, seed=4))
    outcome = export_student(plain / "student", "onnx", tmp_path / "out", file)
    assert (outcome.parity.rows, outcome.samples) == (37, "37 rows of rows.jsonl")


def test_an_earlier_export_is_replaced_and_nothing_else(plain, tmp_path):
    export_student(plain / "student", "onnx", tmp_path / "out")
    (tmp_path / "out" / "left").write_text("x")
    export_student(plain / "student", "onnx", tmp_path / "out")
    assert not (tmp_path / "out" / "left").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one").write_text("x")
    (tmp_path / "file").write_text("x")
    bundle = shutil.copytree(plain / "student", tmp_path / "bundle")
    (bundle / RECORD).write_text("{}")
    for out, told in (
        (tmp_path / "letters", "holds other things"),
        (tmp_path / "file", "is a file"),
        (bundle, "would replace"),
    ):
        with pytest.raises(UsageError, match=told):
            export_student(bundle, "onnx", out)
    with pytest.raises(UsageError, match="holds other things"):
        export_student(plain / "student", "onnx", plain / "student")


@pytest.mark.parametrize("to", ["tea", ""])
def test_an_unknown_runtime_is_refused_with_those_that_there_are(to, plain, tmp_path):
    with pytest.raises(UsageError, match="onnx, onnx-text, safetensors"):
        export_student(plain / "student", to, tmp_path / "out")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_the_next_export_puts_away_what_a_killed_one_left(tmp_path):
    student("llama", tmp_path / "student")
    killed = start("export", tmp_path / "student", "--to", "gguf", "--out", tmp_path / "out")
    while killed.poll() is None and not any(tmp_path.glob(".out.partial-*/new")):
        time.sleep(0.001)
    killed.kill()
    killed.communicate()
    assert all(name in ("student", "out") or name.startswith(".out.partial-") for name in left(tmp_path))
    export_student(tmp_path / "student", "gguf", tmp_path / "out")
    assert left(tmp_path) == ["out", "student"]


def test_what_cannot_be_exported_leaves_nothing(plain, tmp_path):
    bundle = shutil.copytree(plain / "student", tmp_path / "bundle")
    np.savez(tmp_path.parent / "pictures.npz", images=np.zeros((3, 8, 8), dtype=np.uint8))
    with pytest.raises(UsageError, match="is of the kind classifier; --pictures takes: image"):
        export_student(bundle, "c", tmp_path / "out", pictures=tmp_path.parent / "pictures.npz")
    with pytest.raises(UsageError, match="is a words student"):
        export_student(bundle, "safetensors", tmp_path / "out")
    (bundle / "trained" / "student.safetensors").write_bytes(b"torn")
    with pytest.raises(BundleError, match="its hash differs"):
        export_student(bundle, "onnx", tmp_path / "out")
    assert left(tmp_path) == ["bundle"]


def test_an_export_that_answers_otherwise_is_thrown_away(plain, tmp_path, monkeypatch):
    def write_it(_subject, out: Path) -> Exported:
        out.mkdir(exist_ok=True)
        (out / "a").write_text("x")
        return Exported((out / "a",))

    strange = Target(write_it, lambda *_: Parity(0.5, 0.7, 10))
    monkeypatch.setattr(exporting, "TARGETS", {**TARGETS, "strange": lambda: strange})
    with pytest.raises(ExportMismatch, match=r"strange does not answer .* 50\.00%"):
        export_student(plain / "student", "strange", tmp_path / "out")
    assert left(tmp_path) == []
