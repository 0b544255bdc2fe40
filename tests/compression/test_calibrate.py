"""Ranges of activations: checked against the values themselves, and samples of another task refused."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from stillhouse.compression.calibrate import Samples, find_ranges
from stillhouse.errors import UsageError
from tests.compression import graphs

VALUES = graphs.random(20, 500, seed=3)
BATCHES = [{"x": part} for part in np.split(VALUES, 5)]


def line(bend: str | None = None):
    """x twice, bent if so wished, as y."""
    nodes = [helper.make_node("Add", ["x", "x"], ["twice"], name="twice")]
    nodes += [helper.make_node(bend or "Identity", ["twice"], ["y"], name="bend")]
    return graphs.graph(nodes, {"x": ("rows", 500)}, {"y": ("rows", 500)}, {})


def test_min_max_is_the_smallest_and_the_largest_of_all_batches():
    found = find_ranges(line(), ["x", "twice", "y"], Samples(BATCHES))
    assert found["x"] == (VALUES.min(), VALUES.max())
    assert found["twice"] == found["y"] == (2 * VALUES.min(), 2 * VALUES.max())


def test_a_percentile_leaves_out_what_lies_beyond_it():
    low, high = find_ranges(line(), ["twice"], Samples(BATCHES), "percentile", 99.0)["twice"]
    assert np.allclose([low, high], np.percentile(2 * VALUES, [1, 99]), atol=0.02)
    assert find_ranges(line(), ["x"], Samples(BATCHES), "percentile", 100.0)["x"] == pytest.approx(
        (VALUES.min(), VALUES.max())
    )


def test_entropy_cuts_off_what_lies_far_out_and_alone():
    lone = VALUES.copy()
    lone[0, 0] = 60.0
    low, high = find_ranges(line(), ["x"], Samples([{"x": lone}]), "entropy")["x"]
    assert 3 < high < 20
    assert low == VALUES.min() or -20 < low < -2


def test_entropy_keeps_all_where_values_are_even():
    even = np.linspace(-1, 1, VALUES.size, dtype=np.float32).reshape(VALUES.shape)
    low, high = find_ranges(line(), ["x"], Samples([{"x": even}]), "entropy")["x"]
    assert low == pytest.approx(-1, abs=0.02)
    assert high == pytest.approx(1, abs=0.02)


def test_what_is_never_negative_has_a_range_that_is_not():
    low, high = find_ranges(line("Relu"), ["y"], Samples(BATCHES), "entropy")["y"]
    assert low == 0
    assert 0 < high <= 2 * VALUES.max()


def test_how_samples_are_batched_changes_no_range():
    for method in ("min-max", "entropy", "percentile"):
        apart = find_ranges(line(), ["x", "y"], Samples(BATCHES), method)
        assert find_ranges(line(), ["x", "y"], Samples([{"x": VALUES}]), method) == apart


def test_no_more_than_one_batch_is_held():
    class Reads:
        """Batches that are made when asked for, and counts those that are held at once."""

        alive = most = 0

        def __iter__(self):
            for _ in range(6):
                values = _Counted((1, 500))
                values[:] = 1
                yield {"x": values}
                del values

    class _Counted(np.ndarray):
        def __new__(cls, shape):
            made = super().__new__(cls, shape, dtype=np.float32)
            Reads.alive += 1
            Reads.most = max(Reads.most, Reads.alive)
            return made

        def __del__(self):
            if self.base is None:
                Reads.alive -= 1

    find_ranges(line(), ["x", "y"], Samples(Reads()), "entropy")
    assert 1 <= Reads.most <= 3


@pytest.mark.parametrize(
    "feed",
    [
        {"pixel_values": graphs.random(2, 3, 8, 8)},
        {"input_ids": np.ones((2, 3), dtype=np.int32)},
        {"input_ids": np.ones((2, 3, 4), dtype=np.int64)},
        {"input_ids": np.ones((2, 3), dtype=np.int64), "attention_mask": np.ones((2, 3), dtype=np.int64)},
        {},
    ],
    ids=["another name", "another type", "another rank", "one too many", "none"],
)
def test_samples_of_another_task_are_refused_by_what_they_are(feed):
    with pytest.raises(UsageError, match=r"another task: the graph takes input_ids int64 \[rows, tokens\], and they"):
        find_ranges(graphs.reader(), ["states"], Samples([feed]))


def test_samples_of_another_size_are_refused():
    with pytest.raises(UsageError, match=r"pixel_values float32 \[2, 1, 28, 28\]"):
        find_ranges(graphs.convolutional(), ["first"], Samples([{"pixel_values": graphs.random(2, 1, 28, 28)}]))


def test_ids_of_another_tokenizer_are_refused():
    with pytest.raises(UsageError, match=r"cannot be run on them: .*own tokenizer"):
        find_ranges(graphs.reader(), ["states"], Samples([{"input_ids": np.full((2, 3), graphs.VOCABULARY)}]))


def test_what_can_be_read_only_once_and_nothing_at_all_are_refused():
    with pytest.raises(UsageError, match="more than once"):
        Samples(iter(BATCHES))
    with pytest.raises(UsageError, match="no calibration samples"):
        find_ranges(line(), ["x"], Samples([]))


def test_an_activation_that_is_not_finite_is_named():
    with pytest.raises(UsageError, match="'twice' is not finite"):
        find_ranges(line(), ["twice"], Samples([{"x": np.full((1, 500), 3e38, dtype=np.float32)}]))
