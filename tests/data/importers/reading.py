"""How tests of importers read: what they give, and what was wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.options import Options
from stillhouse.data.shelf import Shelf
from stillhouse.storage.blobs import Blobs


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(reader, path: Path, **given):
    """The items and the bad rows; whatever is wrong is skipped."""
    bad = BadRows(skip=True)
    shelf = Shelf(Blobs(path.parent / "home" / "blobs"))
    return list(reader(path, Options(**{"shelf": shelf, **given}), bad)), bad


def shelf_in(folder: Path) -> Shelf:
    return Shelf(Blobs(folder / "blobs"))


def picture(colour: str = "red", kind: str = "PNG", **saved) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(held, kind, **saved)
    return held.getvalue()


USER = {"role": "user", "content": "where is it"}
ANSWER = {"role": "assistant", "content": "order"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"id": 7}'}}
