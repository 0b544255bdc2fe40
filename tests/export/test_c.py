"""Students leave as C99 folders that stand alone, compile strictly, answer alike, and repeat to the byte."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTImageProcessor

from stillhouse.artifacts import hash_folder
from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export import c
from stillhouse.export.c import C_TOLERANCE, Look, export_c, export_image_c, look_beside, verify_c, verify_image_c
from stillhouse.export.verify import Samples
from stillhouse.export.web_picture import picture_steps
from stillhouse.recipes.export import export_student
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples, read_samples, reader_of
from tests.export.c_nets import LABELS, net, pictures
from tests.export.c_programs import compiler
from tests.export.c_subjects import text_subject
from tests.export.opened import subject
from tests.export.students import ONE, TWO, make_bundle
from tests.export.texts import HARD
from tests.models import kinds, tiny

NAMES = [f"kind {at}" for at in range(LABELS)]
FILES = {"Makefile", "README.md", "main.c", "student.c", "student.h", "student.json", "student_data.h"}


@pytest.mark.parametrize("family", ["words", "static"])
@pytest.mark.parametrize("form", [ONE, TWO])
def test_a_bundle_is_written_and_answers_alike(family, form, tmp_path):
    compiler()
    student = text_subject(tmp_path / "bundle", family, form)
    made = export_c(student, tmp_path / "out")
    assert {path.name for path in made.files} == FILES
    parity = verify_c(student, tmp_path / "out", draw_samples(student))
    assert parity.agreement >= C_TOLERANCE.agreement
    assert parity.largest_difference <= C_TOLERANCE.difference
    told = json.loads((tmp_path / "out" / "student.json").read_text())
    assert told["labels"] == [list(part) for part in student.labels]
    assert told["footprint"]["flash"] > told["footprint"]["code"] > 500
    assert made.notes == (c.Footprint(**told["footprint"]).sentence,)
    export_c(student, tmp_path / "again")
    assert hash_folder(tmp_path / "out") == hash_folder(tmp_path / "again")


def test_its_program_prints_labels_and_how_sure_it_is(tmp_path):
    student = text_subject(tmp_path / "bundle", "words", TWO)
    export_c(student, tmp_path / "out")
    made = subprocess.run(["make", "-s", f"CC={compiler()}"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    given = "where is my parcel\nrefund"
    done = subprocess.run([tmp_path / "out" / "student"], input=given, capture_output=True, text=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 2
    for row, text in zip(rows, given.splitlines(), strict=True):
        shares = shares_of(student, text)
        assert [row[0], row[2]] == [student.labels[at][int(part.argmax())] for at, part in enumerate(shares)]
        assert [float(row[1]), float(row[3])] == pytest.approx([float(part.max()) for part in shares], abs=0.02)


def shares_of(student, text: str) -> list[np.ndarray]:
    """The calibrated probabilities of each field."""
    ids = torch.from_numpy(reader_of(student).ids([text])[0])[None]
    with torch.no_grad():
        logits = student.module(ids, torch.ones_like(ids))[0]
    parts = logits.split([len(part) for part in student.labels])
    return [(part / heat).softmax(0).numpy() for part, heat in zip(parts, student.manifest.temperatures, strict=True)]


def test_an_image_student_is_written_and_answers_alike(tmp_path):
    compiler()
    module, look = net("separable"), Look((0.4,), (0.3,))
    made = export_image_c(module, tmp_path / "out", pictures(64), NAMES, look)
    assert {path.name for path in made.files} == FILES
    parity = verify_image_c(module, tmp_path / "out", pictures(200, seed=3), look)
    assert parity.rows == 200
    assert parity.agreement > 0.9
    told = json.loads((tmp_path / "out" / "student.json").read_text())
    assert told["look"] == {"mean": [0.4], "std": [0.3]}
    assert told["footprint"]["ram"] >= told["arena"]
    export_image_c(module, tmp_path / "again", pictures(64), NAMES, look)
    assert hash_folder(tmp_path / "out") == hash_folder(tmp_path / "again")


def test_a_transformers_resnet_is_written_too(tmp_path):
    compiler()
    student = open_student(tiny.save(tmp_path / "resnet", kinds.make("resnet-basic"), tiny.wordpiece()))
    bytes_ = np.random.default_rng(0).integers(256, size=(40, 16, 16, 3), dtype=np.uint8)
    export_c(student, tmp_path / "out", bytes_)
    seen = look_beside(student).seen(bytes_).numpy()
    parity = verify_c(student, tmp_path / "out", Samples(pixels=seen, origin="noise"))
    assert parity.rows == 40
    assert parity.largest_difference < 0.2


@pytest.mark.parametrize(
    "told",
    [
        {"image_mean": 0.4, "image_std": 0.25},
        {"image_mean": [0.4] * 3, "image_std": [0.25] * 3, "do_rescale": True, "rescale_factor": 1 / 128},
        {"image_mean": [120.0] * 3, "image_std": [60.0] * 3, "do_rescale": False},
        {"do_normalize": False, "do_rescale": False},
    ],
)
def test_pictures_are_seen_as_the_processor_beside_a_student_makes_them(told, tmp_path):
    student = subject("vit", tmp_path)
    processor = ViTImageProcessor(size={"height": 16, "width": 16}, **told)
    processor.save_pretrained(student.folder)
    bytes_ = np.random.default_rng(0).integers(256, size=(5, 16, 16, 3), dtype=np.uint8)
    wanted = processor([Image.fromarray(one) for one in bytes_], return_tensors="np")["pixel_values"]
    assert np.allclose(look_beside(student).seen(bytes_).numpy(), wanted, rtol=1e-5, atol=1e-5)
    np.savez(tmp_path / "pictures.npz", images=bytes_)
    assert np.allclose(read_samples(student, tmp_path / "pictures.npz").pixels, wanted, rtol=1e-5, atol=1e-5)
    assert picture_steps(student)["mean"] in ([0.0], [0.4], [0.4] * 3, [120.0] * 3)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    encoder = replace(text_subject(tmp_path / "encoder", "words", ONE), family="encoder")
    vit, llama = subject("vit", tmp_path), subject("llama", tmp_path)
    out, some = tmp_path / "out", pictures(4)
    for call, told in (
        (lambda: export_c(encoder, out), "words and static"),
        (lambda: export_c(llama, out), "c takes: classifier, image"),
        (lambda: export_c(vit, out), "real pictures"),
        (lambda: export_c(vit, out, some), "C"),
        (lambda: export_image_c(net("flat"), out, some, NAMES, Look((0.1, 0.2), (0.3,))), "channels"),
        (lambda: export_image_c(net("flat"), out, some, NAMES[:2]), "4 labels, and 2 names"),
        (lambda: export_image_c(net("flat"), out, some.astype(np.float32), NAMES), "float32"),
        (lambda: export_image_c(net("flat"), out, some[:0], NAMES), "uint8"),
    ):
        with pytest.raises(UsageError, match=told):
            call()
    assert not out.exists()


def test_without_a_compiler_it_is_written_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    student = text_subject(tmp_path / "bundle", "words", ONE)
    made = export_c(student, tmp_path / "out")
    assert made.notes == (c.NO_COMPILER,)
    assert json.loads((tmp_path / "out" / "student.json").read_text())["footprint"] is None
    assert "not compiled" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(UsageError, match="no C compiler here"):
        verify_c(student, tmp_path / "out", draw_samples(student))


def test_the_verb_exports_it_with_or_without_a_compiler(tmp_path, monkeypatch):
    compiler()
    bundle = make_bundle(tmp_path / "bundle", "words")
    outcome = export_student(bundle, "c", tmp_path / "out")
    assert outcome.parity.agreement >= C_TOLERANCE.agreement
    assert outcome.parity.rows > 0
    assert "student.c" in outcome.files
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "where is my parcel"}\n')
    assert export_student(bundle, "c", tmp_path / "out", rows).parity.rows == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = export_student(bundle, "c", tmp_path / "out")
    assert (outcome.parity.rows, outcome.notes[0]) == (0, c.NO_COMPILER)
    with pytest.raises(UsageError, match="no C compiler here"):
        export_student(bundle, "c", tmp_path / "other", rows)
    assert not (tmp_path / "other").exists()


def test_a_changed_student_is_found_out(tmp_path):
    compiler()
    student = text_subject(tmp_path / "bundle", "words", ONE)
    export_c(student, tmp_path / "out")
    data = tmp_path / "out" / "student_data.h"
    at = data.read_text().index("words_bias")
    data.write_text(data.read_text()[:at] + data.read_text()[at:].replace("{\n    ", "{\n    99999", 1))
    parity = verify_c(student, tmp_path / "out", draw_samples(student))
    assert parity.agreement < 0.5
    data.write_text("not C")
    with pytest.raises(ExportMismatch, match=r"ended with 1"):
        verify_c(student, tmp_path / "out", draw_samples(student))


def test_hard_texts_go_through_the_whole_program(tmp_path):
    compiler()
    for family in ("words", "static"):
        student = text_subject(tmp_path / family, family, ONE)
        export_c(student, tmp_path / f"{family}-out")
        samples = Samples(ids=tuple(reader_of(student).ids(HARD)), texts=HARD)
        assert verify_c(student, tmp_path / f"{family}-out", samples).agreement > 0.95
