"""Our own JSON lines: items with everything that is known of them, and their files in a folder beside."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from stillhouse.data.exporters.out import Exported, write_lines
from stillhouse.data.importers.items import media_folder
from stillhouse.data.items import Item
from stillhouse.data.shelf import Shelf
from stillhouse.errors import UsageError

__all__ = ["write_items"]


def write_items(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """All items as they are; files that belong to them go to `NAME.media` beside, by their SHA-256."""
    return write_lines(_with_media(items, out, shelf), out, Item.to_json)


def _with_media(items: Iterable[Item], out: Path, shelf: Shelf | None) -> Iterator[Item]:
    folder = media_folder(out)
    for item in items:
        for media in item.media:
            place = folder / media.digest
            if place.is_file():
                continue
            if shelf is None:
                raise UsageError("Items with files are written with the home folder that holds the files.")
            folder.mkdir(parents=True, exist_ok=True)
            waiting = folder / f".{media.digest}"
            with shelf.open(media) as source, waiting.open("wb") as file:
                shutil.copyfileobj(source, file)
            waiting.replace(place)
        yield item
