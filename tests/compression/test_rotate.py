"""Turning hidden states changes no answer; cutting the turned ones loses least."""

from __future__ import annotations

import pytest
import torch

from stillhouse.compression.importance import score
from stillhouse.compression.prune import PrunePlan, prune
from stillhouse.compression.rotate import rotate, slice_width
from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from stillhouse.models.layers import norms, output_head, sizes, token_embedding
from tests.models import kinds, tiny

every_kind = pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "phi3"])


def made(kind: str):
    """A model whose norms have gains and whose biases are something."""
    model = kinds.make(kind)
    with torch.no_grad():
        for norm in norms(model):
            norm.weight.uniform_(0.5, 1.5)
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_()
    return model


def shown(model) -> list[dict[str, torch.Tensor]]:
    return [kinds.inputs(model, rows=8, seed=seed) for seed in range(3)]


@every_kind
def test_a_turned_model_answers_the_same_and_holds_most_in_its_first_dimensions(kind):
    model = made(kind)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    turned, energies = rotate(model, shown(model), untie=True)
    given = kinds.inputs(model)
    assert torch.allclose(kinds.answer(turned, given), kinds.answer(model, given), atol=1e-4)
    assert energies.tolist() == sorted(energies.tolist(), reverse=True)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@every_kind
def test_dimensions_that_hold_nothing_are_cut_and_nothing_changes(kind, tmp_path):
    """Hidden states of 32 numbers that lie in 20 directions, none of them an axis."""
    model = made(kind)
    plane = torch.linalg.qr(torch.randn(32, 20, generator=torch.Generator().manual_seed(1))).Q
    flat = plane @ plane.T
    with torch.no_grad():
        for norm in norms(model):
            if len(norm.weight) == 32:
                norm.weight.fill_(1.0)
        token_embedding(model).weight.copy_(token_embedding(model).weight @ flat)
        for block in model.model.layers:
            for layer in (block.self_attn.o_proj, block.mlp.down_proj):
                layer.weight.copy_(flat @ layer.weight)
    smaller = slice_width(model, 20, shown(model), untie=True)
    given = kinds.inputs(model)
    assert torch.allclose(kinds.answer(smaller, given), kinds.answer(model, given), atol=1e-3)
    assert (sizes(smaller).width, sizes(smaller).heads) == (20, kinds.HEADS)
    smaller.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert torch.equal(kinds.answer(again, given), kinds.answer(smaller, given))


def test_it_loses_less_than_dropping_dimensions_as_they_are():
    torch.manual_seed(0)
    model = made("llama")
    mixing = torch.randn(32, 32, generator=torch.Generator().manual_seed(2)) * torch.linspace(1, 0.05, 32)
    with torch.no_grad():
        token_embedding(model).weight.copy_(token_embedding(model).weight @ mixing.T)
    given = kinds.inputs(model, rows=8, seed=9)
    whole = kinds.answer(model, given)
    sliced = slice_width(model, 24, shown(model))
    dropped = prune(model, PrunePlan(width=24), score(model, "activation", shown(model)))
    assert parameters(sliced) == parameters(dropped)
    far = [float((kinds.answer(one, given) - whole).square().mean().detach()) for one in (sliced, dropped)]
    assert far[0] < far[1]


def test_a_tied_head_gets_weights_of_its_own_only_if_allowed():
    model = made("qwen3")
    with pytest.raises(UsageError, match=r"The head of Qwen3ForCausalLM is its token table.*Allow it weights"):
        rotate(model, shown(model))
    turned, _ = rotate(model, shown(model), untie=True)
    assert output_head(turned).weight is not token_embedding(turned).weight
    assert turned.config.tie_word_embeddings is False
    assert output_head(model).weight is token_embedding(model).weight


@pytest.mark.parametrize("kind", ["bert-classifier", "gpt2", "gemma2", "olmo2", "resnet-basic"])
def test_models_that_would_answer_otherwise_are_refused(kind):
    with pytest.raises(UsageError, match="cannot be turned without changing its answers: that needs RMSNorms"):
        rotate(kinds.make(kind), [])


def test_no_batch_is_nothing_to_go_by():
    with pytest.raises(UsageError, match="There is no batch to see hidden states on"):
        rotate(kinds.make("llama"), [])


def test_padding_is_not_looked_at():
    model = made("llama")
    given = kinds.inputs(model)
    padded = {"input_ids": given["input_ids"].clone(), "attention_mask": given["attention_mask"].clone()}
    padded["attention_mask"][:, 8:] = 0
    other = {**padded, "input_ids": torch.where(padded["attention_mask"] > 0, given["input_ids"], tiny.ids(2, 12, 5))}
    one, two = (rotate(model, [batch])[1] for batch in (padded, other))
    assert torch.allclose(one, two, rtol=1e-4)
