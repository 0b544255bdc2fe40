from __future__ import annotations

import pytest

from stillhouse.data.importers.images import read_images
from stillhouse.errors import TrafficError
from tests.data.importers.reading import picture, read


def test_folders_are_classes_within_splits(tmp_path):
    folder = tmp_path / "set"
    for place, colour in (("train/red/1.png", "red"), ("train/blue/2.png", "blue"), ("test/red/3.png", "red")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(picture(colour))
    (folder / "test" / "red" / "broken.png").write_bytes(b"no picture")
    (folder / "test" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "outside.png").write_bytes(picture())
    (folder / "test" / "red" / "link.png").symlink_to(tmp_path / "outside.png")
    items, bad = read(read_images, folder)
    assert [(item.label, item.facts.split, item.source.origin) for item in items] == [
        ("red", "test", "test/red/3.png"),
        ("blue", "train", "train/blue/2.png"),
        ("red", "train", "train/red/1.png"),
    ]
    assert items[0].media[0].digest == items[2].media[0].digest
    assert "broken.png: broken.png is no picture" in bad.listed()
    assert bad.passed == {"link out of the folder": 1}


def test_what_is_no_folder_of_pictures_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(TrafficError, match="one folder per class"):
            read(read_images, path)
