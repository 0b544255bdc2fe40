from __future__ import annotations

import pytest

from stillhouse.data.exporters.images import write_images
from stillhouse.errors import UsageError
from tests.data.exporters.made_items import TEXT, image
from tests.data.importers.reading import picture, shelf_in


def test_folders_by_split_and_class_with_names_that_are_safe(tmp_path):
    shelf = shelf_in(tmp_path)
    items = [image(shelf), image(shelf), image(shelf, "blue", "train"), image(shelf, "../up"), image(shelf, ".."), TEXT]
    done = write_images(items, tmp_path / "out", shelf)
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert found == ["_up/a.png", "red/a-2.png", "red/a.png", "train/blue/a.png"]
    assert (tmp_path / "out" / "red" / "a.png").read_bytes() == picture("red")
    assert (done.written, sum(done.left_out.values())) == (4, 2)
    with pytest.raises(UsageError, match="home folder"):
        write_images(items, tmp_path / "again")
