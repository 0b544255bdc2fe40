"""Files with words about them: a sidecar beside each file, or one list that names the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import blame, source_of
from stillhouse.data.importers.csv import item_of
from stillhouse.data.importers.images import SPLITS
from stillhouse.data.importers.options import Options, columns_of
from stillhouse.data.importers.pictures import keep_file, read_bytes
from stillhouse.data.importers.records import Record, Unusable, read_objects, read_table
from stillhouse.data.items import Item, Kind, Media, Source
from stillhouse.errors import BadRow, TrafficError

__all__ = ["LISTS", "SIDECARS", "read_paired"]

LISTS = ("metadata.jsonl", "metadata.csv")
"""The names under which a list of files is looked for, also in folders of splits."""
SIDECARS = (".txt", ".json")
FILE_NAME = "file_name"
"""A column that is called so, or ends so, names a file; Hugging Face's image and audio folders use it."""


def read_paired(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The files of a folder with what is said of them.

    `metadata.jsonl` or `metadata.csv` name files in the folder that they lie in; `path` may be such a list. Without
    one each file `x.png` belongs to `x.txt`, words, or `x.json`, whose keys are as columns of a table. A file that is
    missing, lies outside the folder or is no picture though it should be one is a bad row.
    """
    if path.is_file():
        yield from _listed(path, options, bad, None)
    elif found := _lists(path):
        for listing in found:
            split = listing.parent.name if listing.parent != path and listing.parent.name in SPLITS else None
            yield from _listed(listing, options, bad, split)
    elif path.is_dir():
        yield from _beside(path, options, bad)
    else:
        raise TrafficError(f"{path} does not exist. Check the name, and the folder the command runs in.")


def _lists(path: Path) -> list[Path]:
    folders = [path, *(each for each in sorted(path.iterdir()) if each.is_dir())] if path.is_dir() else []
    return [folder / name for folder in folders for name in LISTS if (folder / name).is_file()]


def _listed(listing: Path, options: Options, bad: BadRows, split: str | None) -> Iterator[Item]:
    read = read_table if listing.suffix.lower() in (".csv", ".tsv") else read_objects
    for record in read(listing, options, bad):
        try:
            yield _named(record, listing, options, split)
        except Unusable as error:
            blame(bad, listing, record, str(error))


def _named(record: Record, listing: Path, options: Options, split: str | None) -> Item:
    columns = list(record.value)
    roles = columns_of(
        columns, replace(options, columns={k: v for k, v in options.columns.items() if v in columns}), ""
    )
    files = [name for name in columns if name.endswith((FILE_NAME, "file_names")) or roles.get("file") == name]
    names = [name for column in files for name in _names(record.value[column])]
    if not names:
        raise Unusable(f'it names no file: it has no column "{FILE_NAME}" (its columns: {", ".join(columns[:6])})')
    media = [_kept(listing.parent, name, options) for name in names]
    row = {key: value for key, value in record.value.items() if key not in files}
    source = source_of(listing, record)
    return _item(row, {k: v for k, v in roles.items() if v not in files}, media, source, split)


def _item(
    row: Mapping[str, Any], roles: Mapping[str, str], media: list[Media], source: Source, split: str | None
) -> Item:
    item = item_of(row, roles, source, media) if roles else Item(Kind.PAIRED, media=tuple(media), source=source)
    return replace(item, facts=replace(item.facts, split=item.facts.split or split)) if split else item


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        return [name for each in cast("list[Any]", value) for name in _names(each)]
    raise Unusable("the name of its file is not a text")


def _kept(folder: Path, name: str, options: Options) -> Media:
    """A file of a folder, kept under the name that the list gives it; raises Unusable."""
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise Unusable(f"the file {name!r} lies outside the folder of the list")
    if not place.is_file():
        raise Unusable(f"there is no file {name!r} beside the list")
    return keep_file(read_bytes(place), name, options)


def _beside(folder: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    sidecars = {file.with_suffix("") for file in files if file.suffix.lower() in SIDECARS}
    things = [file for file in files if file.suffix.lower() not in SIDECARS]
    for number, file in enumerate(things, 1):
        try:
            yield _with_sidecar(file, folder, number, options)
        except Unusable as error:
            bad.add(BadRow(str(file), 0, str(error)), b"")
    for alone in sorted(sidecars - {file.with_suffix("") for file in things}):
        bad.add(BadRow(str(alone), 0, "there are words and no file that they belong to"), b"")
    if not things:
        raise TrafficError(f"{folder} holds no files with a {' or '.join(SIDECARS)} beside them.")
    bad.refuse()


def _with_sidecar(file: Path, folder: Path, number: int, options: Options) -> Item:
    beside = next((file.with_suffix(end) for end in SIDECARS if file.with_suffix(end).is_file()), None)
    if beside is None:
        raise Unusable(f"there is no {' or '.join(file.with_suffix(end).name for end in SIDECARS)} beside it")
    row = _said(beside)
    inside = file.relative_to(folder).as_posix()
    media = [_kept(folder, inside, options)]
    roles = columns_of(list(row), replace(options, columns={}), beside.name)
    return _item(row, roles, media, Source(origin=inside, row=number), None)


def _said(sidecar: Path) -> Mapping[str, Any]:
    data = read_bytes(sidecar)
    if sidecar.suffix.lower() == ".txt":
        try:
            return {"text": data.decode("utf-8-sig").strip()}
        except UnicodeDecodeError as error:
            raise Unusable(f"{sidecar.name} is not UTF-8") from error
    try:
        value: Any = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise Unusable(f"{sidecar.name} is not valid JSON ({error.msg})") from error
    if not isinstance(value, dict):
        raise Unusable(f"{sidecar.name} is not a JSON object")
    return cast("dict[str, Any]", value)
