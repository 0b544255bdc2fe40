"""Pictures: checked to be what they say by decoding them, stripped of what cameras write into them, and kept."""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable
from stillhouse.data.items import Media
from stillhouse.data.shelf import media_type
from stillhouse.errors import MissingExtra, UsageError
from stillhouse.extras import install, missing

__all__ = ["IMAGE_NAMES", "keep_file", "keep_picture", "read_bytes", "shelf_of"]

IMAGE_NAMES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
LARGEST = 64 * 2**20
"""Bytes of the largest picture that is opened."""
MARKERS = (0xE1, 0xED)
"""Segments of JPEG that hold EXIF and XMP, or IPTC."""
CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME")
"""Chunks of PNG that say who made a picture, when and where, and nothing of its pixels."""


def keep_file(data: bytes, name: str, options: Options) -> Media:
    """Any file, kept; one that says by its name or its first bytes that it is a picture must be one."""
    kind = media_type(name, data[:16])
    if kind.startswith("image/") and kind != "image/svg+xml":
        return keep_picture(data, name, options)[0]
    if not data:
        raise Unusable(f"{name} is empty")
    return shelf_of(options).put(data, name, kind)


def keep_picture(data: bytes, name: str, options: Options) -> tuple[Media, bool]:
    """A picture, kept, and whether something of its camera was left out; raises Unusable where it is none.

    EXIF may hold where a photograph was taken and by whom. It is cut out of JPEG and PNG; pixels stay as they are,
    to the byte. A turned JPEG keeps the one word that says how it is turned.
    """
    kind = media_type(name, data[:16])
    if not kind.startswith("image/"):
        raise Unusable(f"{name} is no picture: it begins with {data[:8]!r}")
    if len(data) > LARGEST:
        raise Unusable(f"{name} has {len(data):,} bytes, more than the {LARGEST:,} of the largest picture")
    turned = _decode(data, name)
    plain = _jpeg(data, turned) if kind == "image/jpeg" else _png(data) if kind == "image/png" else data
    return shelf_of(options).put(plain, name, kind), len(plain) < len(data)


def shelf_of(options: Options) -> Any:
    """Where bytes go; raises UsageError where there is no such place."""
    if options.shelf is None:
        raise UsageError("Pictures and other files need a home folder to be kept in.")
    return options.shelf


def _decode(data: bytes, name: str) -> int:
    """How a picture is turned, by EXIF: 1 is upright; raises Unusable where it cannot be decoded whole."""
    if missing(["PIL"]):
        raise MissingExtra(f"Pictures are checked by Pillow, which is not installed. Install it: {install(['PIL'])}")
    pillow: Any = import_module("PIL.Image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pillow.open(io.BytesIO(data)) as picture:
                turned = picture.getexif().get(0x0112, 1)
                picture.load()
    except pillow.DecompressionBombError as error:
        raise Unusable(f"{name} would take too much room as pixels: {error}") from error
    except pillow.UnidentifiedImageError as error:
        raise Unusable(f"{name} is no picture that can be decoded: its format is not known") from error
    except Exception as error:  # decoders fail in as many ways as files are broken
        raise Unusable(f"{name} is no picture that can be decoded: {error}") from error
    return turned if turned in range(1, 9) else 1


def _jpeg(data: bytes, turned: int) -> bytes:
    """JPEG without the segments of its camera; what is not understood stays as it is."""
    kept, at = bytearray(data[:2]), 2
    if turned != 1:
        kept += _turn(turned)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] not in MARKERS:
            kept += data[at:end]
        at = end
    return bytes(kept + data[at:])


def _turn(turned: int) -> bytes:
    """A segment of EXIF that says nothing but how a picture is turned."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + turned.to_bytes(2, "big") + b"\0\0"
    body = b"Exif\0\0MM\0*\x00\x00\x00\x08\x00\x01" + entry + b"\0\0\0\0"
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _png(data: bytes) -> bytes:
    kept, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in CHUNKS:
            kept += data[at:end]
        at = end
    return bytes(kept + data[at:])


def read_bytes(path: Path) -> bytes:
    """A file, whole, if it is no larger than may be."""
    if path.stat().st_size > LARGEST:
        raise Unusable(f"it has {path.stat().st_size:,} bytes, more than the {LARGEST:,} that are read of a picture")
    return path.read_bytes()
