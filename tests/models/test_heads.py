"""A projection's logits are the model's own, whatever it does with them, and its head never runs over a batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.heads import project, token_head
from stillhouse.models.scores import Projection
from tests.models import tiny
from tests.models.writers import SORTS, TOKENS, writer

IDS = torch.randint(4, TOKENS, (2, 9), generator=torch.Generator().manual_seed(1))
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


def own_logits(model: nn.Module) -> torch.Tensor:
    return model(**INPUTS).logits


@pytest.mark.parametrize("sort", SORTS)
def test_the_projection_has_the_models_own_logits(sort):
    model = writer(sort)
    with torch.no_grad():
        own, found = own_logits(model), project(model, INPUTS)
    assert isinstance(found, Projection)
    assert found.states.shape[:2] == IDS.shape
    assert (found.logits() - own).abs().max() < 1e-5
    assert own.abs().max() > 0.01


@pytest.mark.parametrize("sort", SORTS)
def test_so_has_every_gradient(sort):
    model = writer(sort)
    own_logits(model).square().sum().backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    found = project(model, INPUTS)
    assert isinstance(found, Projection)
    found.logits().square().sum().backward()
    for name, weight in model.named_parameters():
        if name in expected:
            assert torch.allclose(weight.grad, expected[name], rtol=1e-3, atol=1e-4 * expected[name].abs().max()), name


@pytest.mark.parametrize(
    ("sort", "scale", "softcap"),
    [
        ("llama", 1, None),
        ("cohere multiplies", 0.0625, None),
        ("granite divides", 1 / 3, None),
        ("gemma2 caps", 1, 5),
        ("falcon-h1 multiplies", 0.3, None),
    ],
)
def test_scale_and_cap_are_read_off_the_model(sort, scale, softcap):
    found = project(writer(sort), INPUTS)
    assert isinstance(found, Projection)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.softcap == (None if softcap is None else pytest.approx(softcap, rel=1e-6))


def test_rows_that_pad_the_vocabulary_are_left_out():
    model = writer("phi adds")
    found = project(model, INPUTS, 50)
    assert isinstance(found, Projection)
    assert len(found.weight) == 50
    assert torch.allclose(found.logits(), own_logits(model)[..., :50], atol=1e-5)
    assert len(project(model, INPUTS, TOKENS + 9).weight) == TOKENS


def test_the_head_runs_over_one_position():
    model, sizes = writer(), []
    handle = token_head(model).register_forward_hook(lambda module, inputs, output: sizes.append(inputs[0].shape))
    project(model, INPUTS)
    assert sizes == [(1, 1, 32)]
    handle.remove()
    assert not token_head(model)._forward_pre_hooks
    assert not token_head(model)._forward_hooks


def test_the_head_is_as_before_after_an_error():
    model = writer()
    with pytest.raises(IndexError):
        project(model, {**INPUTS, "input_ids": IDS + TOKENS})
    assert not token_head(model)._forward_pre_hooks


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_low_precision_is_measured_too(low):
    model = writer("gemma2 caps").to(low)
    found = project(model, INPUTS)
    assert isinstance(found, Projection)
    assert (found.scale, found.softcap) == (pytest.approx(1, rel=0.01), pytest.approx(5, rel=0.01))


def test_autocast_changes_nothing_about_what_is_measured():
    with torch.autocast("cpu", torch.bfloat16):
        found = project(writer("granite divides"), INPUTS)
    assert isinstance(found, Projection)
    assert found.scale == pytest.approx(1 / 3, rel=1e-6)


ADAPTERS = {
    "blocks": LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
    "the head too": LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False),
    "a whole head": LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False),
}


peft_asks_as_of_old = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@peft_asks_as_of_old
@pytest.mark.parametrize("kind", ADAPTERS)
def test_adapted_models_have_their_own_logits(kind):
    torch.manual_seed(0)
    model = get_peft_model(writer(), ADAPTERS[kind])
    if kind == "a whole head":
        nn.init.normal_(token_head(model).modules_to_save["default"].weight)
    assert torch.allclose(project(model, INPUTS).logits(), own_logits(model), atol=1e-4)
    with model.disable_adapter():
        assert torch.allclose(project(model, INPUTS).logits(), own_logits(model), atol=1e-4)


@peft_asks_as_of_old
def test_an_adapted_heads_matrices_learn():
    torch.manual_seed(0)
    model = get_peft_model(writer(), ADAPTERS["the head too"])
    project(model, INPUTS).logits().square().sum().backward()
    found = token_head(model).lora_B["default"].weight.grad.clone()
    model.zero_grad()
    own_logits(model).square().sum().backward()
    assert torch.allclose(found, token_head(model).lora_B["default"].weight.grad, rtol=1e-3)


@peft_asks_as_of_old
def test_a_variant_of_lora_on_the_head_is_refused():
    dora = LoraConfig(r=4, target_modules=["lm_head"], use_dora=True)
    with pytest.raises(UsageError, match="DoRA"):
        project(get_peft_model(writer(), dora), INPUTS)


class Plain(nn.Module):
    """A language model of nobody's library."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(TOKENS, 8), nn.Linear(8, TOKENS)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(input_ids))


def test_a_module_that_names_no_head_gives_its_logits():
    model = Plain()
    assert torch.equal(project(model, INPUTS), model(**INPUTS))
    assert project(model, INPUTS, 50).shape == (2, 9, 50)


class Odd(Plain):
    """Does something of its own with its head."""

    def __init__(self, finish) -> None:
        super().__init__()
        self.finish = finish

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.finish(self, self.table(input_ids)))


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        (lambda odd, states: odd.head(states) + 1, "more with the output of its head"),
        (lambda odd, states: odd.head(states).log_softmax(-1), "more with the output of its head"),
        (lambda odd, states: -odd.head(states), "more with the output of its head"),
        (lambda odd, states: odd.head(states).relu(), "more with the output of its head"),
        (lambda odd, states: odd.head(states) + odd.head(states), "more than once"),
        (lambda odd, states: states @ odd.head.weight.T, "does not use the head"),
    ],
    ids=["adds", "normalises", "turns", "clips", "twice", "unused"],
)
def test_what_cannot_be_put_off_is_refused(finish, told):
    with pytest.raises(UsageError, match=told):
        project(Odd(finish), INPUTS)


def test_a_model_that_leaves_padding_out_itself_is_followed():
    found = project(Odd(lambda odd, states: 2 * odd.head(states)[..., :60]), INPUTS)
    assert isinstance(found, Projection)
    assert (len(found.weight), found.scale) == (60, 2)


def test_a_head_that_is_no_linear_layer_is_refused():
    odd = Odd(lambda odd, states: odd.head(states))
    odd.head = nn.Sequential(nn.Linear(8, TOKENS), nn.Tanh())
    with pytest.raises(UsageError, match="Sequential"):
        project(odd, INPUTS)


def test_an_encoder_without_a_head_is_refused():
    assert token_head(tiny.encoder()) is None
    with pytest.raises(UsageError, match="BertModel gives no logits"):
        project(tiny.encoder(), {"input_ids": tiny.ids(2, 5)})
