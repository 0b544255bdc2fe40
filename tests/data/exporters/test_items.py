from __future__ import annotations

import pytest

from stillhouse.data.exporters.items import write_items
from stillhouse.errors import UsageError
from tests.data.exporters.made_items import image
from tests.data.importers.reading import picture, shelf_in


def test_files_lie_beside_each_once(tmp_path):
    shelf = shelf_in(tmp_path)
    items = [image(shelf), image(shelf, name="b.png"), image(shelf, "blue")]
    assert write_items(items, tmp_path / "a.jsonl", shelf).written == 3
    files = sorted((tmp_path / "a.jsonl.media").iterdir())
    assert sorted(file.name for file in files) == sorted({item.media[0].digest for item in items})
    assert (tmp_path / "a.jsonl.media" / items[0].media[0].digest).read_bytes() == picture("red")
    with pytest.raises(UsageError, match="home folder"):
        write_items(items, tmp_path / "b.jsonl")
