"""Latency and throughput are measured as they are named."""

from __future__ import annotations

import time

import pytest

from stillhouse.evaluation.efficiency import measure_pace


def sleeper(per_text: float, opened: list[int]):
    """Opens a student that takes its time for every text, and notes with how many threads."""

    def open_with(threads: int):
        opened.append(threads)
        return lambda texts: time.sleep(per_text * len(texts))

    return open_with


def test_a_slow_student_is_measured_as_slow():
    opened: list[int] = []
    pace = measure_pace(sleeper(2e-3, opened), ["one", "two", "three"], seconds=0.05)
    assert opened[0] == 1, "latency is on one thread"
    assert len(opened) == 2
    assert 2 <= pace.latency_ms_p50 < 20
    assert pace.latency_ms_p50 <= pace.latency_ms_p95
    assert 50 < pace.throughput_per_s <= 500
    assert pace.load_ms >= 2


@pytest.mark.parametrize("rows", [1, 31, 33, 70])
def test_any_number_of_texts_will_do(rows):
    sizes: list[int] = []
    pace = measure_pace(lambda threads: lambda texts: sizes.append(len(texts)), ["text"] * rows, seconds=0.001)
    assert set(sizes) == {1, min(rows, 32)}
    assert pace.throughput_per_s > 0
