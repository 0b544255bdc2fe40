"""Files read back without llama.cpp: by us, and by Transformers, whose reader of GGUF knows nothing of our writer."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from stillhouse.errors import ExportMismatch
from stillhouse.export.gguf import FORMS, MODEL, export_gguf
from stillhouse.export.gguf_readback import read_weights, stored_in, verify_gguf
from stillhouse.export.llama_runtime import TOLERANCES
from stillhouse.export.verify import answers, check
from stillhouse.extras import EXTRAS
from tests.export.gguf_students import ENCODERS, WRITERS, samples, student


@pytest.fixture
def without_llama_cpp(monkeypatch):
    monkeypatch.setitem(EXTRAS, "llamacpp", ("no_such_package",))


@pytest.mark.parametrize("kind", [*WRITERS, *ENCODERS])
def test_what_comes_back_answers_as_the_student(kind, without_llama_cpp, tmp_path):
    subject = student(kind, tmp_path / "student")
    written = export_gguf(subject, tmp_path / "out", "f32")
    assert any("llama.cpp was not run" in note for note in written.notes)
    before = answers(subject, samples(subject))
    found = verify_gguf(subject, tmp_path / "out", samples(subject))
    assert (found.agreement, found.largest_difference) == (1.0, 0.0)
    for one, other in zip(before, answers(subject, samples(subject)), strict=True):
        assert np.array_equal(one, other)  # the student has its own weights again


@pytest.mark.parametrize("form", FORMS)
def test_a_form_costs_what_it_may(form, without_llama_cpp, tmp_path):
    subject = student("gpt2", tmp_path / "student")
    export_gguf(subject, tmp_path / "out", form)
    with stored_in(subject, tmp_path / "out" / MODEL):
        weight = subject.module.transformer.h[0].mlp.c_fc.weight.detach().clone()
    own = subject.module.transformer.h[0].mlp.c_fc.weight.detach()
    assert torch.equal(weight, own) == (form == "f32")
    assert (weight - own).abs().max() < own.abs().max() / 6


def test_another_students_file_is_found_out(without_llama_cpp, tmp_path):
    subject = student("llama", tmp_path / "student")
    export_gguf(subject, tmp_path / "out", "f32")
    with torch.no_grad():
        for weight in subject.module.model.layers.parameters():
            weight.copy_(weight.flip(0))
    found = verify_gguf(subject, tmp_path / "out", samples(subject))
    with pytest.raises(ExportMismatch, match="does not answer as the student"):
        check(found, TOLERANCES["f32"], "It")


def test_weights_of_other_sizes_are_refused(without_llama_cpp, tmp_path):
    export_gguf(student("gpt2", tmp_path / "one"), tmp_path / "out", "f32")
    other = student("gpt2", tmp_path / "other", rows=450)
    with pytest.raises(ExportMismatch, match=r"token_embd\.weight came back as"):
        verify_gguf(other, tmp_path / "out", samples(other))


def test_shapes_come_back_as_they_were(tmp_path):
    subject = student("qwen2", tmp_path / "student")
    export_gguf(subject, tmp_path / "out", "q8_0")
    assert read_weights(tmp_path / "out" / MODEL)["blk.0.ffn_down.weight"].shape == (64, 96)


@pytest.mark.parametrize("kind", ["llama", "llama-tied", "qwen2"])
def test_transformers_reads_the_same_model_from_the_file(kind, tmp_path):
    subject = student(kind, tmp_path / "student")
    export_gguf(subject, tmp_path / "out", "f32")
    for name in ("transformers.modeling_gguf_pytorch_utils", "transformers.configuration_utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "out", gguf_file=MODEL, dtype=torch.float32).eval()
    ids = torch.from_numpy(samples(subject).ids[0]).reshape(1, -1)
    with torch.no_grad():
        assert torch.allclose(read(ids).logits, subject.module(ids).logits, atol=1e-4)
