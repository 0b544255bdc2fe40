"""Students against their GGUF files in a real llama.cpp: the same tokens, and how near the answers are."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from stillhouse.errors import ExportMismatch, MissingExtra, ModelFailed, UsageError
from stillhouse.export.gguf import FORMS, MODEL, export_gguf
from stillhouse.export.llama_runtime import TOLERANCES, LlamaRuntime, read_alike, verify_in_llama
from stillhouse.export.subject import Kind
from stillhouse.export.verify import Samples, answers, check
from stillhouse.extras import EXTRAS, installed
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export.gguf_students import ENCODERS, TEXTS, WRITERS, samples, student
from tests.export.students import ONE, TWO, make_bundle


@pytest.fixture
def llama_cpp():
    """llama.cpp, which is compiled when it is installed: not a part of what CI installs."""
    if not installed("llamacpp"):
        pytest.skip("needs llama-cpp-python: pip install llama-cpp-python (it compiles llama.cpp for some minutes)")
    return logging.getLogger("llama-cpp-python")


def test_without_llama_cpp_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(EXTRAS, "llamacpp", ("no_such_package",))
    with pytest.raises(MissingExtra, match="needed to run GGUF files"):
        LlamaRuntime(tmp_path / MODEL, Kind.LANGUAGE_MODEL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*WRITERS, *ENCODERS])
def test_llama_cpp_answers_as_the_student(kind, llama_cpp, tmp_path):
    subject = student(kind, tmp_path / "student")
    export_gguf(subject, tmp_path / "out", "f32")
    given = Samples(samples(subject).ids)  # how it reads texts is tested below
    found = check(verify_in_llama(subject, tmp_path / "out" / MODEL, given), TOLERANCES["f32"], "it")
    assert found.agreement == 1.0
    assert found.rows == len(TEXTS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "llama-3", "llama-tied", "bert", "xlm-roberta"])
def test_llama_cpp_reads_the_same_tokens(kind, llama_cpp, tmp_path):
    subject = student(kind, tmp_path / "student")
    export_gguf(subject, tmp_path / "out", "f32")
    with LlamaRuntime(tmp_path / "out" / MODEL, subject.kind) as runtime:
        unlike = read_alike(runtime, subject.tokenizer, TEXTS)
    known = {"llama": r"^ ", "xlm-roberta": r"[\n\t]"}  # what the export's notes say
    assert unlike == [text for text in TEXTS if kind in known and re.search(known[kind], text)]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert-classifier", "gpt2-odd"])
def test_every_form_is_run(form, kind, llama_cpp, tmp_path):
    subject = student(kind, tmp_path / "student")
    export_gguf(subject, tmp_path / "out", form)
    given = samples(subject)
    with LlamaRuntime(tmp_path / "out" / MODEL, subject.kind) as runtime:
        said = runtime.answers(subject, given)
    for own, other in zip(answers(subject, given), said, strict=True):
        assert own.shape == other.shape
        assert np.isfinite(other).all()
    assert (form != "f32") or np.abs(own - other).max() < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("form", [ONE, TWO], ids=["one field", "two fields"])
def test_a_bundle_answers_as_its_student(form, llama_cpp, tmp_path):
    subject = open_student(make_bundle(tmp_path / "bundle", "encoder", form, "float32"))
    export_gguf(subject, tmp_path / "out", "f32")
    given = draw_samples(subject)
    found = check(verify_in_llama(subject, tmp_path / "out" / MODEL, given), TOLERANCES["f32"], "it")
    assert found.rows == given.rows


@pytest.mark.slow
def test_a_classifier_knows_its_labels(llama_cpp, tmp_path):
    subject = student("bert-classifier", tmp_path / "student")
    export_gguf(subject, tmp_path / "out")
    with LlamaRuntime(tmp_path / "out" / MODEL, Kind.CLASSIFIER) as runtime:
        assert tuple(runtime.labels()) == subject.labels[0]
        with pytest.raises(UsageError, match="1 to 512"):
            runtime.pooled([])


@pytest.mark.slow
def test_another_students_file_is_found_out(llama_cpp, tmp_path):
    subject = student("llama", tmp_path / "student")
    export_gguf(subject, tmp_path / "out", "f32")
    for weight in subject.module.model.layers.parameters():
        weight.data = weight.data.flip(0)
    found = verify_in_llama(subject, tmp_path / "out" / MODEL, samples(subject))
    with pytest.raises(ExportMismatch, match="does not answer as the student"):
        check(found, TOLERANCES["f32"], "It")


@pytest.mark.slow
def test_a_damaged_file_is_refused(llama_cpp, tmp_path):
    subject = student("gpt2", tmp_path / "student")
    export_gguf(subject, tmp_path / "out")
    file = tmp_path / "out" / MODEL
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelFailed, match="cannot load"):
        LlamaRuntime(file, subject.kind)
