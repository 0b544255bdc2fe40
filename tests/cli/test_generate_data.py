"""A version is read as often as wanted, with its pictures; what is made of it becomes another."""

from __future__ import annotations

import pytest

from stillhouse.cli.generate_data import add_version, find_source
from stillhouse.data.catalogue import Step
from stillhouse.data.items import Media
from stillhouse.errors import StorageError, UsageError
from tests.cli.generating import contents, text, with_dataset, with_picture


def test_a_source_is_read_again_and_again(tmp_path):
    with_dataset(tmp_path, "desk", [text("a"), text("b")])
    source = find_source(("default", tmp_path, None), "desk")
    assert [[item.text for item in source.items()] for _ in range(2)] == [["a", "b"]] * 2
    with pytest.raises(UsageError):
        find_source(("default", tmp_path, None), "nothing")
    with pytest.raises(StorageError):
        source.read_media(Media("0" * 64, "image/png", "a.png", 3))


def test_its_pictures_are_read_by_their_hash(tmp_path):
    with_dataset(tmp_path, "desk", [text("a")])
    media = with_picture(tmp_path, b"a picture")
    assert find_source(("default", tmp_path, None), "desk").read_media(media) == b"a picture"


def test_what_was_left_out_lies_beside_what_was_made(tmp_path):
    place = ("default", tmp_path, None)
    version = add_version(place, "made", [text("a")], Step("label", counts={"kept": 1}), [(text("b"), "no")])
    assert version.reference == "made@1"
    _, items, dropped = contents(tmp_path, "made")
    assert ([item.text for item in items], [(item.text, why) for item, why in dropped]) == (["a"], [("b", "no")])
