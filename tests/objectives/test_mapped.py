"""Which vectors of two models are compared, and how their widths meet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Features
from stillhouse.objectives import mapped

NUMBERS = torch.arange(24.0)


def batch(mask: list[list[int]] | None = None) -> Batch:
    inputs = {} if mask is None else {"attention_mask": torch.tensor(mask)}
    return Batch(inputs, torch.full((2, 1), -1), torch.arange(2))


def test_tokens_count_by_the_mask_and_all_do_without_one():
    states = NUMBERS.view(2, 3, 4)
    assert mapped.counted(states, batch([[1, 1, 0], [1, 0, 0]])).sum() == 3
    assert mapped.counted(states, batch()).shape == (2, 3)
    assert mapped.counted(states.view(2, 3, 2, 2), batch([[1, 1, 0], [1, 0, 0]])).tolist() == [[True], [True]]


def test_a_mask_of_other_tokens_is_refused():
    with pytest.raises(UsageError, match="Features of 3 tokens do not fit an attention mask of 2"):
        mapped.counted(NUMBERS.view(2, 3, 4), batch([[1, 1], [1, 0]]))


def test_vectors_are_those_of_counting_tokens_in_order():
    mine, its = mapped.vectors(NUMBERS.view(2, 3, 4), NUMBERS.view(2, 3, 4), batch([[1, 0, 0], [0, 1, 1]]))
    assert mine[:, 0].tolist() == [0, 16, 20]
    assert torch.equal(mine, its)


def test_vectors_of_maps_are_the_channels_at_each_place():
    maps = NUMBERS.view(2, 3, 2, 2)
    mine, its = mapped.vectors(maps, maps[:, :1, :1, :1], batch())
    assert mine.tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]
    assert its.tolist() == [[0], [12]]
    whole, _ = mapped.vectors(maps, maps, batch())
    assert whole[1].tolist() == [1, 5, 9]


def test_one_vector_for_each_row():
    states = NUMBERS.view(2, 3, 4)
    assert mapped.row_vectors(states, batch([[1, 1, 0], [0, 0, 0]])).tolist() == [[2, 3, 4, 5], [0, 0, 0, 0]]
    assert mapped.row_vectors(states.view(2, 3, 2, 2), batch())[0].tolist() == [1.5, 5.5, 9.5]
    assert torch.equal(mapped.row_vectors(states[:, 0], batch()), states[:, 0])


def test_the_default_projector_keeps_lengths_into_a_wider_space():
    mine, its = torch.randn(5, 4), torch.randn(5, 9)
    projector = mapped.projector_for(mine, its, None)
    assert torch.allclose(mapped.in_width(mine, its, projector).norm(dim=-1), mine.norm(dim=-1), rtol=1e-5)
    assert mapped.projector_for(mine, mine, None) is None


def test_a_projector_of_half_precision_states_learns_in_full():
    projector = mapped.projector_for(torch.randn(5, 4).bfloat16(), torch.randn(5, 9).bfloat16(), None)
    assert {weight.dtype for weight in projector.parameters()} == {torch.float32}


def test_a_chosen_projector_is_given_vectors_without_gradients():
    seen = []

    def make(mine: torch.Tensor, its: torch.Tensor) -> nn.Module:
        seen.extend((mine, its))
        return nn.Linear(mine.shape[-1], its.shape[-1])

    assert isinstance(mapped.projector_for(torch.randn(5, 4, requires_grad=True), torch.randn(5, 9), make), nn.Linear)
    assert [part.requires_grad for part in seen] == [False, False]


def test_what_is_missing_is_named_with_what_is_there():
    with pytest.raises(UsageError, match="the teacher's block 5, and those of blocks 0, 3 were caught"):
        mapped.caught({0: NUMBERS, 3: NUMBERS}, 5, "teacher")
    with pytest.raises(UsageError, match="the student's embedding"):
        mapped.embedding_of(Features(), "student")
