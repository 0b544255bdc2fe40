"""Scales, ticks and labels that keep out of each other's way."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from stillhouse.reports.drawing import Box, Scale, Spot, linear_ticks, log_ticks, place, text, text_width


def test_scales_map_ends_and_middles():
    assert Scale(0, 10, 100, 200)(5) == 150
    assert Scale(0.1, 10, 0, 100, log=True)(1) == pytest.approx(50)
    assert Scale(0, 10, 100, 200)(99) == 200


def test_ticks_are_round_and_inside():
    assert linear_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert linear_ticks(0.9132, 0.9411) == [0.915, 0.92, 0.925, 0.93, 0.935, 0.94]
    assert log_ticks(0.05, 4) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])
    assert log_ticks(0.001, 1000) == pytest.approx([10.0**power for power in range(-3, 4)])


def test_labels_of_a_crowd_do_not_overlap():
    crowd = [Spot(300 + 9 * i, 200 + 7 * math.sin(i), 8, 90, 30) for i in range(8)]
    boxes = place(crowd, [], Box(50, 20, 650, 380))
    assert sum(one.overlap(other) for one, other in combinations(boxes, 2)) == 0
    assert all(box.outside(Box(50, 20, 650, 380)) == 0 for box in boxes)


def test_text_is_escaped_and_wide_letters_count_double():
    assert "&lt;b&gt;" in text("<b>", 0, 0)
    assert text_width("标签", 10) > text_width("ab", 10) * 1.5
