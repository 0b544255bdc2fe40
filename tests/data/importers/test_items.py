from __future__ import annotations

from stillhouse.data.importers.items import media_folder, read_items
from tests.data.importers.reading import lines, read


def test_rows_that_are_no_items_are_bad_and_so_are_files_that_are_gone(tmp_path):
    media = [{"digest": "ab" * 32, "type": "image/png", "name": "a.png", "bytes": 3}]
    rows = [
        {"kind": "text", "messages": [{"role": "user", "content": "a"}]},
        {"kind": "song"},
        {"kind": "image", "media": media},
    ]
    items, bad = read(read_items, lines(tmp_path / "a.jsonl", *rows))
    assert [item.text for item in items] == ["a"]
    assert "This is no item of a dataset" in bad.listed()
    assert "the file a.png that belongs to it is not in a.jsonl.media" in bad.listed()
    folder = media_folder(tmp_path / "a.jsonl")
    folder.mkdir()
    (folder / media[0]["digest"]).write_bytes(b"xyz")
    assert "was changed" in read(read_items, tmp_path / "a.jsonl")[1].listed()
