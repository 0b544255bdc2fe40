"""Second moments of what comes into layers, against the inputs themselves, in as many readings as memory allows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.compression.second_moments import second_moments, token_counts
from stillhouse.errors import UsageError
from tests.models import kinds, tiny


def batches(rows: int = 3) -> list[dict[str, torch.Tensor]]:
    made = []
    for seed in range(3):
        ids, mask = tiny.ids(rows, 9, seed), torch.ones(rows, 9, dtype=torch.long)
        mask[0, 5:] = 0
        made.append({"input_ids": ids, "attention_mask": mask})
    return made


def linear(model: nn.Module) -> dict[str, nn.Module]:
    return {name: part for name, part in model.named_modules() if type(part) is nn.Linear}


def test_they_are_the_mean_over_positions_that_are_not_padding():
    model = tiny.encoder("bert")
    layers = linear(model.encoder.layer[1])
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda module, inputs, name=name: seen[name].append(inputs[0].detach()))
    found = dict(second_moments(model, layers, batches()))
    for name in layers:
        rows = [x[batch["attention_mask"].bool()] for x, batch in zip(seen[name], batches(), strict=True)]
        every = torch.cat(rows).double()
        assert torch.allclose(found[name], every.T @ every / len(every), atol=1e-9)
        assert found[name].dtype == torch.float64


def test_little_memory_takes_more_readings_and_gives_the_same():
    model, count = tiny.encoder("bert"), [0]

    class Counting:
        def __iter__(self):
            count[0] += 1
            yield from batches()

    layers = linear(model)
    whole = dict(second_moments(model, layers, Counting()))
    assert count == [1]
    parts = dict(second_moments(model, layers, Counting(), memory=3 * 8 * 32 * 32))
    assert count[0] > 5
    assert list(parts) == list(whole) == list(layers)
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_layers_that_are_not_used_are_left_out_and_the_mode_stays():
    model = nn.ModuleDict({"used": nn.Linear(4, 4), "idle": nn.Linear(4, 4)})
    model.forward = lambda x: model["used"](x)
    model.train()
    assert list(dict(second_moments(model, dict(model.items()), [{"x": torch.randn(5, 4)}]))) == ["used"]
    assert model.training
    assert not model["used"]._forward_pre_hooks


def test_images_have_no_padding():
    model = kinds.make("vit")
    given = kinds.inputs(model)
    found = dict(second_moments(model, linear(model), [given]))
    assert all(moment.isfinite().all() for moment in found.values())


def test_tokens_are_counted_where_they_are_no_padding():
    model = tiny.encoder("bert")
    counts = token_counts(model, model.embeddings.word_embeddings, batches())
    expected = torch.zeros(tiny.TOKENS)
    for batch in batches():
        for token in batch["input_ids"][batch["attention_mask"].bool()]:
            expected[token] += 1
    assert counts.tolist() == expected.tolist()


def test_nothing_to_look_at_is_refused():
    with pytest.raises(UsageError, match="no batch"):
        list(second_moments(tiny.encoder(), linear(tiny.encoder()), []))
