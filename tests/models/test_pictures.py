"""What an image model wants of its pictures is read alike in every form in which settings may say it."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import UsageError
from stillhouse.models.pictures import Shades, edges_of, processor_beside, shades_of, size_of


def test_a_size_is_one_number_two_or_named():
    for size, found in (
        (None, None),
        (8, (8, 8)),
        ([8, 9], (8, 9)),
        ({"height": 8, "width": 9}, (8, 9)),
        ({"shortest_edge": 7}, (7, 7)),
    ):
        assert edges_of(size) == found
    assert size_of({"size": 9, "crop_size": 8}) == (9, 9)
    assert size_of({"size": {"longest_edge": 9}, "do_center_crop": True, "crop_size": 8}) == (8, 8)
    assert size_of({}) is None


def test_shades_are_one_number_or_one_for_each_channel():
    assert shades_of({}) == Shades(1 / 255, (0.5,), (0.5,))
    assert shades_of({"image_mean": 0.4, "image_std": [0.1, 0.2, 0.3]}) == Shades(1 / 255, (0.4,), (0.1, 0.2, 0.3))
    assert shades_of({"image_mean": 0.4, "do_normalize": False}) == Shades(1 / 255, (0.0,), (1.0,))
    assert shades_of({"do_rescale": False}).of_whole == ((0.5 / 255,), (0.5 / 255,))
    assert shades_of({"rescale_factor": 1 / 127.5}).of_whole == ((0.25,), (0.25,))


@pytest.mark.parametrize("size", [{"longest_edge": 64}, {"height": 4}, [1, 2, 3], ["a", "b"], "large"])
def test_a_size_that_leaves_an_edge_open_is_refused(size):
    with pytest.raises(UsageError, match="does not say how high and how wide"):
        edges_of(size)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"image_mean": "grey"}, "must be a number"),
        ({"image_std": []}, "must be a number"),
        ({"image_std": [0.1, None]}, "must be a number"),
        ({"image_std": 0}, "above 0"),
        ({"rescale_factor": 0}, "above 0"),
    ],
)
def test_shades_that_are_no_numbers_are_refused(told, why):
    with pytest.raises(UsageError, match=why):
        shades_of(told)


def test_a_folder_may_have_no_processor(tmp_path):
    assert processor_beside(tmp_path) == {}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 8}))
    assert processor_beside(tmp_path) == {"size": 8}
