"""Our own JSON lines: items as they are, with the files that belong to them in a folder beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import blame
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_objects
from stillhouse.data.items import Item, Media, item_from_json
from stillhouse.errors import DataError

__all__ = ["media_folder", "read_items"]


def media_folder(path: Path) -> Path:
    """Where the files lie that belong to the items of a file, by their SHA-256."""
    return path.with_name(f"{path.name}.media")


def read_items(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The items of a file as they were written; their files are put into the home folder again."""
    for record in read_objects(path, options, bad):
        try:
            item = item_from_json(record.value)
            yield replace(item, media=tuple(_kept(media, path, options) for media in item.media))
        except (DataError, Unusable) as error:
            blame(bad, path, record, str(error))


def _kept(media: Media, path: Path, options: Options) -> Media:
    beside = media_folder(path) / media.digest
    if "/" in media.digest or not beside.is_file() or options.shelf is None:
        raise Unusable(f"the file {media.name} that belongs to it is not in {media_folder(path).name}")
    with beside.open("rb") as file:
        kept = options.shelf.put(file, media.name, media.type)
    if kept.digest != media.digest:
        raise Unusable(f"the file {media.name} that belongs to it was changed")
    return kept
