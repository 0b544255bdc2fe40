"""Tensors in flight move to a device together."""

from __future__ import annotations

import torch

from stillhouse.models.outputs import Batch, TeacherOutput

ELSEWHERE = torch.device("meta")  # a device that every machine has


def test_a_batch_moves_whole():
    batch = Batch(*(torch.ones(2, 3, dtype=torch.long) for _ in range(4))).to(ELSEWHERE)
    assert {part.device for part in vars(batch).values()} == {ELSEWHERE}


def test_so_does_what_the_teacher_told_if_it_told_anything():
    told = TeacherOutput(torch.ones(2, 1, 3), torch.ones(2, 1, dtype=torch.bool)).to(ELSEWHERE)
    assert (told.logits.device, told.told.device) == (ELSEWHERE, ELSEWHERE)
    assert TeacherOutput().to(ELSEWHERE) == TeacherOutput()
