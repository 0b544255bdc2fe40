"""Folders of pictures, one folder per class, perhaps within one folder per split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.pictures import keep_picture, read_bytes
from stillhouse.data.importers.records import Unusable
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.errors import BadRow, TrafficError

__all__ = ["SPLITS", "read_images"]

SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


def read_images(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The pictures below a folder in the order of their names; the folder that a picture lies in is its class.

    A first folder called `train`, `test` and so on is the split. A file that is no picture is a bad row. Hidden files
    are passed over, and so are links that lead out of the folder.
    """
    if not path.is_dir():
        raise TrafficError(f"{path} is no folder. Pictures are read from a folder with one folder per class.")
    number = 0
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        if not file.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        if not file.resolve().is_relative_to(path.resolve()):
            bad.pass_over("link out of the folder")
            continue
        number += 1
        try:
            yield _item(file, inside, number, options)
        except Unusable as error:
            bad.add(BadRow(str(file), 0, str(error)), b"")
    if not number:
        raise TrafficError(f"{path} holds no files. Pictures are read from a folder with one folder per class.")
    bad.refuse()


def _item(file: Path, inside: Path, number: int, options: Options) -> Item:
    folders = inside.parts[:-1]
    split = folders[0] if folders and folders[0].lower() in SPLITS else None
    classes = folders[1:] if split else folders
    if len(classes) > 1:
        raise Unusable(f"it lies {len(classes)} folders deep; one folder is the class")
    media, stripped = keep_picture(read_bytes(file), file.name, options)
    return Item(
        Kind.IMAGE,
        label=classes[0] if classes else None,
        media=(media,),
        facts=Facts(split=split, metadata={"exif": "dropped"} if stripped else {}),
        source=Source(origin=inside.as_posix(), row=number),
    )
