from __future__ import annotations

import pytest

from stillhouse.data.importers.text import read_text
from stillhouse.errors import TrafficError
from tests.data.importers.reading import read


def test_lines_and_what_is_wrong_with_them(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n" + b"x" * 300 + b"\n\xff\nlast")
    items, bad = read(read_text, path, longest=100)
    assert [(item.text, item.source.row) for item in items] == [("one", 1), ("last", 5)]
    assert "line 3: it is 301 bytes long" in bad.listed()
    assert "line 4: it is not UTF-8" in bad.listed()
    path.write_bytes("a".encode("utf-16"))
    with pytest.raises(TrafficError, match="UTF-16"):
        read(read_text, path)
