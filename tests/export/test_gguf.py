"""What lies in a GGUF file, read back with the `gguf` package; that llama.cpp answers alike: test_llama_runtime.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from stillhouse.artifacts import hash_file
from stillhouse.errors import UsageError
from stillhouse.export.gguf import FORMS, MODEL, export_gguf
from stillhouse.recipes.open_student import open_student
from tests.export.gguf_students import CHATML, student
from tests.export.students import TWO, make_bundle
from tests.models import kinds, tiny


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return student("llama", tmp_path_factory.mktemp("llama"), CHATML)


def read(path):
    """A file's metadata by key, and its weights by name in float32, with what each is held in."""
    reader = GGUFReader(path)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    weights = {part.name: dequantize(part.data, part.tensor_type) for part in reader.tensors}
    return facts, weights, {part.name: part.tensor_type.name.lower() for part in reader.tensors}


def test_a_file_holds_sizes_words_and_every_weight(llama, tmp_path):
    written = export_gguf(llama, tmp_path / "out", "f32")
    assert [file.name for file in written.files] == ["Modelfile", MODEL]
    facts, weights, forms = read(tmp_path / "out" / MODEL)
    config = llama.module.config
    assert facts["general.architecture"] == "llama"
    assert facts["llama.embedding_length"] == config.hidden_size
    assert facts["llama.attention.head_count_kv"] == 2
    assert facts["llama.rope.freq_base"] == 10_000.0
    assert facts["tokenizer.chat_template"] == CHATML
    assert len(facts["tokenizer.ggml.tokens"]) == config.vocab_size
    assert set(forms.values()) == {"f32"}
    assert sum(weight.size for weight in weights.values()) == sum(w.numel() for w in llama.module.parameters())
    head = llama.module.lm_head.weight.detach().numpy()
    assert np.array_equal(weights["output.weight"].reshape(head.shape), head)


def test_what_is_turned_together_lies_side_by_side(llama, tmp_path):
    export_gguf(llama, tmp_path, "f32")
    weights = read(tmp_path / MODEL)[1]
    attention = llama.module.model.layers[0].self_attn
    for name, own, heads in (("attn_q", attention.q_proj, 4), ("attn_k", attention.k_proj, 2)):
        own = own.weight.detach().numpy()
        halves = own.reshape(heads, 2, -1, own.shape[1])
        pairs = weights[f"blk.0.{name}.weight"].reshape(heads, -1, 2, own.shape[1])
        assert np.array_equal(pairs, halves.swapaxes(1, 2))
    value = attention.v_proj.weight.detach().numpy()
    assert np.array_equal(weights["blk.0.attn_v.weight"].reshape(value.shape), value)


def test_shared_weights_are_written_once(tmp_path):
    export_gguf(student("llama-tied", tmp_path / "student"), tmp_path, "f32")
    assert "output.weight" not in read(tmp_path / MODEL)[1]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_as_near_as_it_promises(form, llama, tmp_path):
    export_gguf(llama, tmp_path, form)
    _, weights, forms = read(tmp_path / MODEL)
    assert forms["blk.0.ffn_up.weight"] == form
    assert forms["blk.0.attn_norm.weight"] == "f32"
    assert forms["token_embd.weight"] == (form if form in FORMS[:4] else "q8_0")
    own = llama.module.model.layers[0].mlp.up_proj.weight.detach().numpy()
    error = np.abs(weights["blk.0.ffn_up.weight"].reshape(own.shape) - own).max() / np.abs(own).max()
    steps = {"f32": 0.0, "f16": 2**-11, "bf16": 2**-8, "q8_0": 1 / 200, "q5_1": 1 / 25, "q5_0": 1 / 15}
    assert error <= steps.get(form, 1 / 7)
    assert error > 0 or form == "f32"


def test_lower_forms_are_smaller(llama, tmp_path):
    sizes = []
    for form in FORMS:
        export_gguf(llama, tmp_path / form, form)
        sizes.append((tmp_path / form / MODEL).stat().st_size)
    for dear, cheap in (("f32", "f16"), ("f16", "q8_0"), ("q8_0", "q5_1"), ("q5_1", "q5_0"), ("q5_0", "q4_0")):
        assert sizes[FORMS.index(dear)] > sizes[FORMS.index(cheap)]


def test_rows_that_no_block_fits_stay_in_half_precision(tmp_path):
    written = export_gguf(student("gpt2-odd", tmp_path / "student"), tmp_path / "out", "q4_0")
    forms = read(tmp_path / "out" / MODEL)[2]
    assert forms["blk.0.attn_qkv.weight"] == "f16"  # rows of 40
    assert forms["blk.0.ffn_down.weight"] == "q4_0"  # rows of 160
    assert any("no multiple of 32 are held in f16" in note for note in written.notes)


def test_the_same_student_gives_the_same_bytes(llama, tmp_path):
    for folder in ("one", "other"):
        export_gguf(llama, tmp_path / folder, "q8_0")
    assert hash_file(tmp_path / "one" / MODEL) == hash_file(tmp_path / "other" / MODEL)


def test_an_embedding_larger_than_the_tokenizer_gets_tokens_that_none_uses(tmp_path):
    export_gguf(student("gpt2", tmp_path / "student", rows=410), tmp_path)
    facts = read(tmp_path / MODEL)[0]
    assert facts["tokenizer.ggml.tokens"][405] == "[PAD405]"
    assert facts["tokenizer.ggml.token_type"][405] == 5


def test_a_classifier_tells_its_labels_and_how_it_pools(tmp_path):
    export_gguf(student("bert-classifier", tmp_path / "student"), tmp_path / "out")
    facts, weights, forms = read(tmp_path / "out" / MODEL)
    assert facts["bert.classifier.output_labels"] == [f"LABEL_{at}" for at in range(5)]
    assert (facts["bert.pooling_type"], facts["bert.attention.causal"]) == (4, False)
    assert weights["cls.output.weight"].shape == (5, 64)
    assert forms["cls.output.weight"] == "f32"
    assert not (tmp_path / "out" / "Modelfile").exists()


def test_a_bundle_with_an_encoder_averages_its_tokens(tmp_path):
    subject = open_student(make_bundle(tmp_path / "bundle", "encoder", TWO, "float32"))
    written = export_gguf(subject, tmp_path / "out")
    facts = read(tmp_path / "out" / MODEL)[0]
    assert facts["bert.classifier.pooling_type"] == 1
    assert facts["bert.classifier.output_labels"][:2] == ["intent=wish_0", "intent=wish_1"]
    assert facts["bert.classifier.output_labels"][-1] == "priority=null"
    assert facts["general.name"] == "desk encoder"
    assert any("answers wrongly without a word" in note for note in written.notes)
    with pytest.raises(UsageError, match="runs transformers, and a words student is none"):
        export_gguf(open_student(make_bundle(tmp_path / "words", "words", precision="float32")), tmp_path / "other")


def test_sentence_encoders_pool_as_their_folder_says(tmp_path):
    folder = tmp_path / "student"
    student("bert", folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    stack = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(stack))
    export_gguf(open_student(folder), tmp_path / "out")
    assert read(tmp_path / "out" / MODEL)[0]["bert.pooling_type"] == 2
    assert (tmp_path / "out" / "Modelfile").read_text() == f"FROM ./{MODEL}\n"
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "max"}))
    with pytest.raises(UsageError, match="max for pooling"):
        export_gguf(open_student(folder), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("gemma2", "not for gemma2"),
        ("mpnet", "not for mpnet"),
        ("vit", "takes: language-model, embedding, classifier"),
    ],
)
def test_what_llama_cpp_does_not_run_is_refused_and_nothing_written(kind, told, tmp_path):
    folder = tiny.save(tmp_path / "student", kinds.make(kind), tiny.wordpiece())
    with pytest.raises(UsageError, match=told):
        export_gguf(open_student(folder), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student"]


def test_unknown_forms_and_places_are_refused(llama, tmp_path):
    with pytest.raises(UsageError, match="not as 'q4_k_m'"):
        export_gguf(llama, tmp_path, "q4_k_m")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        export_gguf(llama, tmp_path / "file")


def test_an_export_that_breaks_off_leaves_nothing(llama, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("gguf.GGUFWriter.write_tensors_to_file", full)
    with pytest.raises(OSError, match="no space"):
        export_gguf(llama, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
