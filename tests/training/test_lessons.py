"""Lessons are told apart by everything a student may learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stillhouse.training.lessons import Lessons, Part


def part(*texts: str, labels: tuple[int, ...] | None = None) -> Part:
    answers = np.array(labels or [0] * len(texts), dtype=np.int64).reshape(-1, 1)
    return Part(list(texts), answers, np.full_like(answers, -1))


LESSONS = Lessons(part("a", "b"), part("c"), (2,), {0: [np.array([0.9, 0.1], dtype=np.float32)]})


def test_a_part_is_as_long_as_its_texts():
    assert len(part("a", "b")) == 2


def test_the_same_lessons_have_the_same_hash():
    again = Lessons(part("a", "b"), part("c"), (2,), {0: [np.array([0.9, 0.1], dtype=np.float32)]})
    assert again.hash == LESSONS.hash


def test_whatever_changes_changes_the_hash():
    others = [
        replace(LESSONS, train=part("a", "x")),
        replace(LESSONS, train=part("b", "a")),
        replace(LESSONS, train=part("a", "b", labels=(0, 1))),
        replace(LESSONS, train=replace(LESSONS.train, truths=np.array([[1], [0]]))),
        replace(LESSONS, selection=part("d")),
        replace(LESSONS, sizes=(3,)),
        replace(LESSONS, soft={}),
        replace(LESSONS, soft={1: LESSONS.soft[0]}),
        replace(LESSONS, soft={0: [np.array([0.8, 0.2], dtype=np.float32)]}),
    ]
    assert len({LESSONS.hash, *(other.hash for other in others)}) == len(others) + 1
