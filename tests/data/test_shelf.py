from __future__ import annotations

import hashlib
import io

from stillhouse.data.shelf import IMAGE_TYPES, Shelf, media_type
from stillhouse.storage.blobs import Blobs
from tests.data.importers.reading import picture


def test_bytes_are_kept_once_by_their_hash(tmp_path):
    shelf = Shelf(Blobs(tmp_path))
    first, second = shelf.put(b"abc" * 10, "a", "x/y"), shelf.put(io.BytesIO(b"abc" * 10), "b", "x/y")
    assert first.digest == second.digest == hashlib.sha256(b"abc" * 10).hexdigest()
    assert (first.name, first.bytes) == ("a", 30)
    with shelf.open(first) as file:
        assert file.read() == b"abc" * 10
    assert not list((tmp_path / "incoming").iterdir())


def test_types_by_first_bytes_before_names():
    assert media_type("a.txt", picture()[:16]) == "image/png"
    assert media_type("a", picture("red", "JPEG")[:16]) == "image/jpeg"
    assert media_type("a", picture("red", "WEBP")[:16]) == "image/webp"
    assert media_type("a", b"RIFF\0\0\0\0WAVE") == "audio/wav"
    assert media_type("a.mp3", b"??") == "audio/mpeg"
    assert media_type("a", b"??") == "application/octet-stream"
    assert "image/png" in IMAGE_TYPES
