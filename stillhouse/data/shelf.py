"""Shelf: where the bytes of pictures and other files go, by their hash, and what kind of file they are."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, final

from stillhouse.data.items import Media
from stillhouse.storage.blobs import Blobs
from stillhouse.storage.file_records import Blob

__all__ = ["IMAGE_TYPES", "Shelf", "media_type"]

PIECE = 2**20
"""Bytes that are copied at once."""

IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff")
"""The kinds of pictures that are known by their first bytes."""

BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF-", "application/pdf"),
)
RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}


@final
class Shelf:
    """The blobs of a home folder, as importers put bytes there and exporters take them."""

    def __init__(self, blobs: Blobs) -> None:
        self.digests: set[str] = set()
        """Of all that was put here; what belongs to no item in the end may go again."""
        self._blobs = blobs

    def put(self, source: BinaryIO | bytes, name: str, type: str) -> Media:
        """Keep bytes, once however often they come; raises StorageFull where the disk has no room."""
        pieces = iter([source]) if isinstance(source, bytes) else _pieces(source)
        blob = self._blobs.put(pieces)
        self.digests.add(blob.digest)
        return Media(blob.digest, type, name, blob.bytes)

    def open(self, media: Media) -> BinaryIO:
        """The bytes, to be read; raises StorageError when they are not there."""
        return self._blobs.open(Blob(media.digest, media.bytes))


def media_type(name: str, head: bytes) -> str:
    """What a file is, by its first bytes; where those say nothing, by its name."""
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in RIFF:
        return RIFF[head[8:12]]
    return mimetypes.guess_type(Path(name).name)[0] or "application/octet-stream"


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece
