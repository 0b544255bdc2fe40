"""Factored layers answer as their product, are saved and opened whole, merged back, and refused where damaged."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForSequenceClassification
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from stillhouse.models.factored import (
    FactoredEmbedding,
    FactoredLinear,
    has_factors,
    is_factored,
    merge,
    replace_module,
    save_model,
)
from stillhouse.models.heads import project
from stillhouse.models.load import load_causal, load_classifier, load_encoder, load_image
from tests.models import kinds, tiny


def factored(kind: str, rank: int = 6, seed: int = 0):
    """A model of which some layers, the table and a head that shares it are products of random factors."""
    model = kinds.make(kind, seed)
    torch.manual_seed(seed + 1)
    own = None if kind in kinds.IMAGES else model.get_input_embeddings().weight
    parts = [(name, part) for name, part in model.named_modules() if type(part) in (nn.Linear, Conv1D)]
    layers = [(name, part) for name, part in parts if part.weight is not own]
    for name, layer in [one for one in layers if min(one[1].weight.shape) >= 32][::2]:
        conv1d = isinstance(layer, Conv1D)
        outputs, inputs = reversed(layer.weight.shape) if conv1d else layer.weight.shape
        inner, outer = torch.randn(rank, inputs) / 4, torch.randn(outputs, rank) / 4
        replace_module(model, name, FactoredLinear(inner, outer, layer.bias, conv1d))
    if kind not in kinds.IMAGES:
        table = model.get_input_embeddings()
        made = FactoredEmbedding(torch.randn(len(table.weight), rank), torch.randn(rank, table.weight.shape[1]) / 4)
        head = model.get_output_embeddings()
        if head is not None and head.weight is table.weight:
            model.set_output_embeddings(made.head(head.bias))
        model.set_input_embeddings(made)
    return model.eval()


def answer(model, kind: str) -> torch.Tensor:
    with torch.no_grad():
        return kinds.answer(model, kinds.inputs(model))


def test_a_factored_layer_is_the_product_of_its_factors():
    inner, outer, bias, x = torch.randn(3, 8), torch.randn(5, 3), torch.randn(5), torch.randn(2, 7, 8)
    layer = FactoredLinear(inner, outer, bias)
    assert torch.allclose(layer(x), x @ (outer @ inner).T + bias, atol=1e-5)
    assert torch.allclose(layer.weight, outer @ inner)
    assert (layer.in_features, layer.out_features, layer.rank) == (8, 5, 3)
    assert parameters(layer) == 3 * (8 + 5) + 5
    assert torch.allclose(layer.dense()(x), layer(x), atol=1e-5)
    assert torch.allclose(FactoredLinear(inner, outer, bias, conv1d=True).dense()(x), layer(x), atol=1e-5)


def test_a_factored_table_is_the_product_of_its_factors_and_so_is_its_head():
    table, mix, ids = torch.randn(9, 3), torch.randn(3, 8), torch.tensor([[1, 8, 0]])
    layer = FactoredEmbedding(table, mix, padding_idx=0)
    assert torch.allclose(layer(ids), (table @ mix)[ids], atol=1e-5)
    assert torch.allclose(layer.dense()(ids), layer(ids), atol=1e-5)
    head, x = layer.head(None), torch.randn(2, 8)
    assert torch.allclose(head(x), x @ (table @ mix).T, atol=1e-5)
    assert head.outer.weight is layer.table.weight
    assert parameters(nn.ModuleList([layer, head])) == parameters(layer)


LOADERS = {"gpt2": load_causal, "llama": load_causal, "qwen3": load_causal, "vit": load_image}
KINDS = ("bert-classifier", "gpt2", "llama", "qwen3", "vit")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of every kind, with a tokenizer, and the model that was saved."""
    made = {}
    for kind in KINDS:
        folder, model = tmp_path_factory.mktemp(kind), factored(kind)
        reader = tmp_path_factory.mktemp("reader")
        tiny.save(reader, tiny.encoder(), tiny.wordpiece())
        for file in reader.iterdir():
            if "token" in file.name and kind != "vit":
                shutil.copy(file, folder)
        save_model(model, folder)
        made[kind] = folder, model
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_what_is_loaded(kind, folders):
    folder, model = folders[kind]
    found = LOADERS.get(kind, load_classifier)(str(folder)).model
    assert torch.equal(answer(found, kind), answer(model, kind))
    assert parameters(found) == parameters(model)
    assert {name for name, _ in found.named_parameters()} == {name for name, _ in model.named_parameters()}
    assert has_factors(found)
    assert is_factored(str(folder))
    assert found.config._name_or_path == str(folder)
    assert not found.training


def test_an_encoder_is_opened_from_a_classifiers_folder(folders):
    folder, model = folders["bert-classifier"]
    found = load_encoder(str(folder)).model
    assert isinstance(found.embeddings.word_embeddings, FactoredEmbedding)
    given = kinds.inputs(model)
    with torch.no_grad():
        expected = model.bert(**given).last_hidden_state
        assert torch.equal(found(**given).last_hidden_state, expected)


def test_saved_again_it_is_the_same(folders, tmp_path):
    for kind in ("bert-classifier", "gpt2"):
        folder, _ = folders[kind]
        save_model(LOADERS.get(kind, load_classifier)(str(folder)).model, tmp_path / kind)
        for name in ("factored.safetensors", "factored.json"):
            assert (tmp_path / kind / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_answers_alike_and_is_an_ordinary_one(kind, tmp_path):
    model = factored(kind)
    before = answer(model, kind)
    merge(model)
    assert not has_factors(model)
    assert torch.allclose(answer(model, kind), before, atol=1e-4)
    assert parameters(model) == parameters(kinds.make(kind))
    model.save_pretrained(tmp_path)
    found = type(model).from_pretrained(tmp_path)
    assert torch.allclose(answer(found.eval(), kind), before, atol=1e-4)


def test_a_model_without_factors_is_saved_as_ever(tmp_path):
    save_model(kinds.make("bert-classifier"), tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    assert not is_factored(str(tmp_path))


def test_transformers_alone_opens_no_factored_model(folders):
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(folders["bert-classifier"][0])


def test_a_factored_head_is_asked_a_few_positions_at_a_time(folders):
    _, model = folders["gpt2"]
    given = kinds.inputs(model)
    with torch.no_grad():
        found = project(model, given)
        assert found.weight.shape == (tiny.TOKENS, 6)
        assert torch.allclose(found.logits(), model(**given).logits, atol=1e-4)


@pytest.mark.parametrize("harm", ["version", "torn", "no weights", "a layer less"])
def test_a_damaged_folder_is_refused(harm, folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders["bert-classifier"][0], folder)
    ranks, weights = folder / "factored.json", folder / "factored.safetensors"
    if harm == "version":
        ranks.write_text(json.dumps(json.loads(ranks.read_text()) | {"version": 9}))
    elif harm == "torn":
        ranks.write_text(ranks.read_text()[:40])
    elif harm == "no weights":
        weights.unlink()
    else:
        kept = {name: weight for name, weight in load_file(weights).items() if not name.endswith("mix")}
        save_file(kept, weights)
    with pytest.raises(UsageError, match=r"factored\.(json|safetensors)"):
        load_classifier(str(folder))


def test_a_factored_model_is_not_held_in_fewer_bits(folders):
    with pytest.raises(UsageError, match="not held in 4 bits"):
        load_causal(str(folders["llama"][0]), bits=4)
