"""A folder of pictures, one folder per class, below one per split where items have one."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from stillhouse.data.exporters.out import Exported, Unfit, check_some, new_folder
from stillhouse.data.items import Item
from stillhouse.data.shelf import Shelf
from stillhouse.errors import UsageError

__all__ = ["write_images"]

UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
"""What a name of a folder cannot have on every system."""


def write_images(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """The picture of each item with a label; others are left out and counted. The same name twice gets a number."""
    if shelf is None:
        raise UsageError("Pictures are written with the home folder that holds them.")
    written, left_out = 0, Counter[str]()
    with new_folder(out) as waiting:
        for item in items:
            try:
                _write(item, waiting, shelf)
                written += 1
            except Unfit as error:
                left_out[str(error)] += 1
        check_some(written, left_out)
    return Exported(written, left_out)


def _write(item: Item, folder: Path, shelf: Shelf) -> None:
    pictures = [media for media in item.media if media.type.startswith("image/")]
    if len(pictures) != 1 or not item.label:
        raise Unfit("it is not one picture with a label")
    picture = pictures[0]
    inside = folder / _safe(item.facts.split) / _safe(item.label) if item.facts.split else folder / _safe(item.label)
    inside.mkdir(parents=True, exist_ok=True)
    name = _safe(Path(picture.name).name)
    place, number = inside / name, 1
    while place.exists():
        number += 1
        place = inside / f"{Path(name).stem}-{number}{Path(name).suffix}"
    with shelf.open(picture) as source, place.open("wb") as file:
        shutil.copyfileobj(source, file)


def _safe(name: str) -> str:
    safe = UNSAFE.sub("_", name).strip(". ")
    if not safe:
        raise Unfit("its label is no name of a folder")
    return safe
