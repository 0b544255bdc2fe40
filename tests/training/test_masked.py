"""A student whose weights are held at zero learns with the others, and is never seen otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.compression.sparsity import find_masks, measure_sparsity
from stillhouse.training.loop import train
from stillhouse.training.masked import Masked
from tests.training.pupils import SCHEDULE, Dying, Killed, lesson, pupil, score, source, watch


def masked(student, share=0.5):
    masks = find_masks(student, share)
    taught = lesson(student)
    return masks, replace(taught, source=Masked(taught.source, masks))


@pytest.mark.parametrize("share", [0.5, "2:4"])
def test_what_is_masked_stays_zero_and_the_rest_learns(share):
    student = pupil("encoder")
    masks, taught = masked(student, share)
    seen: list[bool] = []

    def look(now) -> float:
        weights = dict(now.named_parameters())
        seen.append(all(not weights[name][~kept].any() for name, kept in masks.items()))
        return score(now)

    before = {name: student.get_parameter(name).detach().clone() for name in masks}
    train(taught, SCHEDULE, watch(score=look))
    assert len(seen) > 1
    assert all(seen)
    for name, kept in masks.items():
        weight = student.get_parameter(name)
        assert not weight[~kept].any()
    moved = [not torch.equal(student.get_parameter(name)[kept], before[name][kept]) for name, kept in masks.items()]
    assert sum(moved) > len(moved) // 2
    if share == "2:4":
        assert set(masks) <= measure_sparsity(student).two_of_four


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    ends = []
    for place in (None, tmp_path / "checkpoint"):
        student = pupil("encoder")
        masks, taught = masked(student)
        if place is not None:
            dying = replace(taught, source=Dying(taught.source, 5))
            with pytest.raises(Killed):
                train(dying, SCHEDULE, watch(checkpoint=place, checkpoint_every=0))
            student = pupil("encoder")
            taught = replace(lesson(student), source=Masked(lesson(student).source, masks))
        train(taught, SCHEDULE, watch(checkpoint=place, checkpoint_every=0))
        ends.append(student.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_it_tells_what_its_source_tells_and_follows_the_student():
    inner = source()
    outer = Masked(inner, {})
    assert (outer.tells, outer.steps, outer.follows, outer.state()) == (inner.tells, inner.steps, True, inner.state())
