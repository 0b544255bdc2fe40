"""Rows are taken out and put together without changing what stands in them."""

from __future__ import annotations

import torch

from stillhouse.models.outputs import Batch, Features, Heads, StudentOutput
from stillhouse.models.rows import detach, join_batches, join_features, join_said, join_scores, lengthen, take_rows
from stillhouse.models.scores import Projection


def batch(rows: int, tokens: int, start: int = 0) -> Batch:
    ids = torch.arange(start, start + rows * tokens).view(rows, tokens)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return Batch(inputs, ids + 100, torch.arange(start, start + rows), torch.zeros(rows))


def test_rows_are_taken_in_any_order():
    whole = batch(4, 3)
    some = take_rows(whole, torch.tensor([2, 0]))
    assert some.rows.tolist() == [2, 0]
    assert some.inputs["input_ids"].tolist() == [[6, 7, 8], [0, 1, 2]]
    assert some.labels.tolist() == [[106, 107, 108], [100, 101, 102]]
    assert take_rows(whole, slice(1, 2)).rows.tolist() == [1]


def test_an_input_of_the_whole_batch_stays():
    whole = batch(3, 2)
    named = Batch({**whole.inputs, "peer": torch.tensor(1)}, whole.labels, whole.rows)
    assert take_rows(named, slice(0, 2)).inputs["peer"] == 1


def test_batches_are_joined_at_the_longer_length():
    joined = join_batches([batch(1, 2), batch(2, 3, 50)], padding=9)
    assert joined.inputs["input_ids"].tolist() == [[0, 1, 9], [50, 51, 52], [53, 54, 55]]
    assert joined.inputs["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert joined.labels.tolist() == [[100, 101, -1], [150, 151, 152], [153, 154, 155]]
    assert joined.rows.tolist() == [0, 50, 51]
    assert len(joined.parts) == 3


def test_images_are_joined_too():
    pixels = Batch({"pixel_values": torch.rand(2, 3, 4, 4)}, torch.zeros(2, 1), torch.arange(2))
    assert join_batches([pixels, pixels]).inputs["pixel_values"].shape == (4, 3, 4, 4)


def test_one_batch_is_itself():
    whole = batch(2, 2)
    assert join_batches([whole]) is whole


def test_a_row_is_lengthened_at_its_end():
    assert lengthen(torch.ones(1, 2), 4, -1).tolist() == [[1, 1, -1, -1]]


def test_scores_of_one_head_stay_unprojected():
    weight = torch.rand(5, 3)
    parts = [Projection(torch.rand(2, 4, 3), weight, scale=2.0, softcap=5.0) for _ in range(2)]
    joined = join_scores(parts)
    assert torch.equal(joined.logits(), torch.cat([part.logits() for part in parts]))
    assert joined.weight is weight


def test_everything_said_is_joined():
    def said() -> StudentOutput:
        heads = Heads(torch.rand(2, 1, 3, 4), torch.rand(2, 1, 3, 4), torch.rand(2, 1, 3, 4))
        attention = {0: torch.rand(2, 1, 3, 3)}
        return StudentOutput(
            torch.rand(2, 3, 5), Features({1: torch.rand(2, 3, 4)}, attention, {0: heads}, torch.rand(2, 7))
        )

    one, two = said(), said()
    joined = join_said([one, two])
    assert torch.equal(joined.scores, torch.cat([one.scores, two.scores]))
    assert torch.equal(joined.features.hidden[1], torch.cat([one.features.hidden[1], two.features.hidden[1]]))
    assert torch.equal(joined.features.attention[0][2:], two.features.attention[0])
    assert torch.equal(joined.features.heads[0].values[:2], one.features.heads[0].values)
    assert joined.features.embedding.shape == (4, 7)
    assert join_features([Features()]).embedding is None


def test_what_is_detached_takes_no_gradient():
    states = torch.rand(1, 2, 3, requires_grad=True)
    weight, bias = torch.rand(4, 3, requires_grad=True), torch.rand(4, requires_grad=True)
    for scores in (states * 2, Projection(states * 2, weight, bias)):
        loose = detach(StudentOutput(scores, Features({0: states})))
        assert not loose.logits.requires_grad
        assert torch.equal(loose.logits, StudentOutput(scores).logits)
        assert not loose.features.hidden
    assert detach(StudentOutput()).scores is None
