"""Rows that share a line get what they get alone, or the model is refused."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.packing import Tried, check_packing, fill_lines, lines_of
from tests.models import tiny
from tests.models.writers import TOKENS, writer

IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0], [8, 0, 0, 0, 0], [9, 10, 11, 0, 0]])
MASK = (IDS > 0).long()


def test_the_longest_rows_come_first_and_the_rest_fill_up():
    assert fill_lines([5, 2, 1, 3], 5) == [[0], [3, 1], [2]]
    assert fill_lines([4, 4, 1, 1, 2, 2], 4) == [[0], [1], [4, 5], [2, 3]]


def test_lines_hold_rows_whose_positions_start_anew():
    lines = lines_of(IDS, MASK, padding=0)
    assert lines.inputs["input_ids"].tolist() == [[1, 2, 3, 4, 5], [9, 10, 11, 6, 7], [8, 0, 0, 0, 0]]
    assert lines.inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 0, 1], [0, 0, 1, 2, 3]]


def test_what_was_laid_side_by_side_comes_back_row_by_row():
    lines = lines_of(IDS, MASK)
    back = lines.back(lines.inputs["input_ids"].unsqueeze(-1)).squeeze(-1)
    assert torch.equal(back * MASK, IDS)


@pytest.mark.parametrize("sort", ["llama", "qwen3", "gpt2", "gemma2 caps", "cohere multiplies"])
def test_models_that_heed_positions_are_accepted(sort):
    model = writer(sort)
    model.train()
    check_packing(model)
    assert model.training


@pytest.mark.parametrize("sort", ["falcon-h1 multiplies", "mamba", "bloom", "opt narrows"])
def test_models_that_let_rows_see_or_displace_each_other_are_refused(sort):
    with pytest.raises(UsageError, match="packing"):
        check_packing(writer(sort))


def test_the_check_leaves_the_random_numbers_alone():
    model, state = writer(), torch.get_rng_state()
    check_packing(model)
    assert torch.equal(state, torch.get_rng_state())


def test_a_whole_batch_gets_the_logits_of_its_rows():
    model = writer()
    ids = torch.randint(4, TOKENS, (6, 12), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(12) < torch.tensor([12, 5, 7, 3, 1, 9]).unsqueeze(1)).long()
    lines = lines_of(ids, mask)
    assert len(lines.inputs["input_ids"]) == 4
    with torch.no_grad():
        apart = model(input_ids=ids, attention_mask=mask).logits
        together = lines.back(model(**lines.inputs, use_cache=False).logits)
    assert torch.allclose(apart[mask.bool()], together[mask.bool()], atol=1e-4)


def test_a_model_is_tried_once_and_copies_know_nothing():
    model, passes, tried = writer(), [], Tried()
    model.register_forward_hook(lambda *seen: passes.append(1))
    tried.check(model)
    tried.check(model)
    assert len(passes) == 3
    pickle.loads(pickle.dumps(deepcopy(tried))).check(model)
    assert len(passes) == 6


def test_an_encoder_cannot_be_packed():
    with pytest.raises(UsageError, match="BertModel"):
        check_packing(tiny.encoder())
