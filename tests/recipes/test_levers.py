"""Which levers a model has, and what pulling one leaves of it."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
)

from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from stillhouse.recipes.levers import is_shaped, levers_of, parts_of, shaped
from stillhouse.recipes.sections import TaskName
from tests.models import tiny


@pytest.fixture
def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(tiny.encoder("bert").config).eval()


def batches() -> list[dict[str, torch.Tensor]]:
    ids = torch.randint(5, 50, (4, 8), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}]


def resnet() -> ResNetForImageClassification:
    torch.manual_seed(0)
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
    return ResNetForImageClassification(ResNetConfig(num_channels=1, num_labels=3, **sizes)).eval()


def test_the_first_setting_of_each_lever_changes_nothing(bert):
    levers = levers_of(bert, TaskName.CLASSIFICATION, ())
    assert list(levers) == ["layers", "ffn", "width", "rank", "vocabulary", "precision"]
    rest = {name: settings[0] for name, settings in levers.items()}
    same = shaped(bert, rest, batches())
    with torch.no_grad():
        assert torch.equal(same(**batches()[0]).logits, bert(**batches()[0]).logits)


@pytest.mark.parametrize(("lever", "setting"), [("layers", "1"), ("ffn", "0.5"), ("width", "0.5"), ("rank", "0.5")])
def test_every_lever_leaves_fewer_weights_and_the_model_as_it_was(lever, setting, bert):
    levers = levers_of(bert, TaskName.CLASSIFICATION, ())
    before = parameters(bert)
    smaller = shaped(bert, {name: settings[0] for name, settings in levers.items()} | {lever: setting}, batches())
    assert parameters(smaller) < before == parameters(bert)
    with torch.no_grad():
        assert smaller(**batches()[0]).logits.shape == (4, 2)


def test_convolutions_have_fewer_channels():
    model = resnet()
    levers = levers_of(model, TaskName.IMAGE, ())
    assert list(levers) == ["width", "precision"]
    smaller = shaped(model, {"width": "0.5", "precision": "float32"}, [{"pixel_values": torch.randn(2, 1, 16, 16)}])
    assert parameters(smaller) < 0.5 * parameters(model)


def test_parts_add_up(bert):
    for model in (bert, resnet()):
        assert sum(parts_of(model).values()) == parameters(model)


def test_tokens_are_not_dropped_of_models_that_write():
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=60, **sizes))
    assert "vocabulary" not in levers_of(model, TaskName.CHAT, ())


def test_only_what_is_wanted_is_pulled(bert):
    levers = levers_of(bert, TaskName.CLASSIFICATION, ("precision",))
    encoder = tiny.encoder("bert")
    assert all(len(settings) == 1 for name, settings in levers.items() if name != "precision")
    assert not is_shaped({name: settings[-1] for name, settings in levers.items()}, levers)
    with pytest.raises(UsageError, match="cannot be made smaller by width"):
        levers_of(encoder, TaskName.EMBEDDING, ("width",))
