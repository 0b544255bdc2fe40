"""Hugging Face's folders: what `datasets` saved to disk as Arrow, and files of Parquet, alone or in folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.columns import READ
from stillhouse.data.importers.csv import item_of
from stillhouse.data.importers.images import SPLITS
from stillhouse.data.importers.options import Options, columns_of
from stillhouse.data.importers.pictures import keep_file
from stillhouse.data.importers.records import Unusable
from stillhouse.data.importers.values import table_of
from stillhouse.data.items import Item, Media, Source
from stillhouse.data.parquet import connect, read_items
from stillhouse.errors import BadRow, DataError, MissingExtra, TrafficError
from stillhouse.extras import install, missing

__all__ = ["read_huggingface"]

TOGETHER = 1_000
"""Rows that are held at once."""
INFO = "dataset_info.json"


def read_huggingface(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The rows of all splits, whose names become the split of items; labels by their names where these are known.

    Pictures and sounds that lie within rows are kept as files. Parquet is read by DuckDB, Arrow by pyarrow.
    """
    found = False
    for split, file, names in _files(path):
        found = True
        try:
            yield from _rows(file, split, names, options, bad)
        except DataError as error:
            raise TrafficError(f"{file} cannot be read: {error} Is it complete?") from error
    if not found:
        raise TrafficError(f"{path} holds neither Parquet nor Arrow files. It may be the folder of another tool.")
    bad.refuse()


def _files(path: Path) -> Iterator[tuple[str | None, Path, Mapping[str, Sequence[str]]]]:
    """Each file with its split, and the names of the labels of its columns."""
    if path.is_file():
        yield _split_of(path), path, {}
        return
    for folder in [path, *sorted(each for each in path.iterdir() if each.is_dir())]:
        is_saved = (folder / "state.json").is_file()
        names = _label_names(folder / INFO) or _label_names(path / INFO)
        split = folder.name if folder != path and (is_saved or folder.name in SPLITS) else None
        for file in _saved(folder) if is_saved else sorted(folder.glob("*.parquet")):
            yield split or _split_of(file), file, names


def _saved(folder: Path) -> list[Path]:
    """The files of one saved split, in the order in which its rows come."""
    try:
        state = orjson.loads((folder / "state.json").read_bytes())
        files = [folder / Path(str(each["filename"])).name for each in state["_data_files"]]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise TrafficError(f"{folder / 'state.json'} does not name the files of a dataset: {error}.") from error
    for file in files:
        if not file.is_file():
            raise TrafficError(
                f"{folder / 'state.json'} names {file.name}, which is not there. Is the folder complete?"
            )
    return files


def _split_of(file: Path) -> str | None:
    """The split in a name such as `train-00000-of-00002.parquet`."""
    first = file.stem.split("-")[0].split("_")[0].lower()
    return first if first in SPLITS else None


def _label_names(info: Path) -> dict[str, Sequence[str]]:
    """The names of labels by column, as `dataset_info.json` has them."""
    if not info.is_file():
        return {}
    try:
        features = table_of(table_of(info.read_text("utf-8")).get("features"))
    except UnicodeDecodeError:
        return {}
    labels = {name: table_of(feature) for name, feature in features.items()}
    return {name: feature["names"] for name, feature in labels.items() if feature.get("_type") == "ClassLabel"}


def _rows(
    file: Path, split: str | None, names: Mapping[str, Sequence[str]], options: Options, bad: BadRows
) -> Iterator[Item]:
    is_parquet = _is_parquet(file)
    if is_parquet and _is_ours(file):
        yield from read_items(file)
        return
    roles: dict[str, str] | None = None
    for number, row in enumerate(_parquet(file) if is_parquet else _arrow(file), 1):
        if roles is None:
            roles = columns_of(list(row), options, file.name)
            roles = {role: name for role, name in roles.items() if role != "file"}
        try:
            item = _item(row, roles, names, Source(origin=file.name, row=number), options)
        except Unusable as error:
            bad.add(BadRow(str(file), number, str(error)), str(row)[:1_000].encode("utf-8", "replace"))
            continue
        yield replace(item, facts=replace(item.facts, split=item.facts.split or split))


def _item(
    row: Mapping[str, Any],
    roles: Mapping[str, str],
    names: Mapping[str, Sequence[str]],
    source: Source,
    options: Options,
) -> Item:
    plain: dict[str, Any] = {}
    media: list[Media] = []
    for column, value in row.items():
        known = names.get(column)
        if isinstance(value, bytes | bytearray):
            media.append(keep_file(bytes(value), column, options))
        elif isinstance(value, dict) and "bytes" in value:
            media += _media(cast("dict[str, Any]", value), column, options)
        elif known and isinstance(value, int) and 0 <= value < len(known):
            plain[column] = known[value]
        else:
            plain[column] = value if isinstance(value, str | int | float | list | dict | None) else str(value)
    return item_of(plain, {role: name for role, name in roles.items() if name in plain}, source, media)


def _media(value: dict[str, Any], column: str, options: Options) -> list[Media]:
    """A picture or a sound as `datasets` keeps it: its bytes, and the path that it had."""
    if value.get("bytes") is None:
        raise Unusable(f'the file of its column "{column}" lies elsewhere: {value.get("path")}')
    return [keep_file(bytes(value["bytes"]), Path(str(value.get("path") or column)).name, options)]


def _parquet(file: Path) -> Iterator[dict[str, Any]]:
    with connect() as connection:
        result = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [str(file)])
        columns = [column[0] for column in result.description]
        while rows := result.fetchmany(TOGETHER):
            yield from (dict(zip(columns, row, strict=True)) for row in rows)


def _is_parquet(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"PAR1"


def _is_ours(file: Path) -> bool:
    """Whether a file has the columns of a version: then it says all that is known of its items."""
    with connect() as connection:
        result = connection.execute("SELECT name FROM parquet_schema(?)", [str(file)])
        return set(READ) <= {name for (name,) in result.fetchall()}


def _arrow(file: Path) -> Iterator[dict[str, Any]]:
    if missing(["pyarrow"]):
        words = "is Arrow, which is read by pyarrow, and that is not installed. Install it with"
        raise MissingExtra(f"{file} {words}: {install(['pyarrow'])}. Or save the dataset with `to_parquet`.")
    arrow: Any = import_module("pyarrow")
    try:
        with arrow.memory_map(str(file)) as mapped:
            for batch in _batches(arrow, mapped):
                for start in range(0, batch.num_rows, TOGETHER):
                    yield from batch.slice(start, TOGETHER).to_pylist()
    except (arrow.ArrowInvalid, OSError) as error:
        raise TrafficError(f"{file} cannot be read as Arrow: {error}") from error


def _batches(arrow: Any, mapped: Any) -> Iterator[Any]:
    """The batches of a stream, as `datasets` writes it, or of a file."""
    try:
        yield from arrow.ipc.open_stream(mapped)
    except arrow.ArrowInvalid:
        mapped.seek(0)
        reader = arrow.ipc.open_file(mapped)
        yield from (reader.get_batch(place) for place in range(reader.num_record_batches))
