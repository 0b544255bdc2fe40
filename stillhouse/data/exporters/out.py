"""Files and folders that are there whole or not at all, and the account of what was written into them."""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import orjson

from stillhouse.data.items import Item
from stillhouse.errors import DataError, UsageError

__all__ = ["Exported", "Unfit", "check_some", "new_file", "new_folder", "write_lines"]


@final
class Unfit(Exception):
    """Why a format cannot tell an item."""


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """What became of items: how many were written, and why others could not be told in the format."""

    written: int
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])


@contextmanager
def new_file(out: Path) -> Generator[Path]:
    """A neighbour of a file to write into, which takes its place once all is written."""
    if out.is_dir():
        raise UsageError(f"{out} is a folder; name a file.")
    out.parent.mkdir(parents=True, exist_ok=True)
    waiting = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    try:
        yield waiting
        waiting.replace(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        waiting.unlink(missing_ok=True)


@contextmanager
def new_folder(out: Path) -> Generator[Path]:
    """The same for a folder, which must not be there yet or be empty."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already; name a folder that is not.")
    out.parent.mkdir(parents=True, exist_ok=True)
    waiting = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    waiting.mkdir()
    try:
        yield waiting
        waiting.replace(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def write_lines(items: Iterable[Item], out: Path, told: Callable[[Item], Mapping[str, Any]]) -> Exported:
    """A file of JSON lines, one for each item that `told` can tell."""
    written, left_out = 0, Counter[str]()
    with new_file(out) as waiting, waiting.open("wb") as file:
        for item in items:
            try:
                row = told(item)
            except Unfit as error:
                left_out[str(error)] += 1
                continue
            file.write(orjson.dumps(row) + b"\n")
            written += 1
        check_some(written, left_out)
    return Exported(written, left_out)


def check_some(written: int, left_out: Mapping[str, int]) -> None:
    """Raise DataError where no item could be told, so that nothing empty takes the place of a file."""
    if left_out and not written:
        why = "; ".join(f"{reason} ({count:,})" for reason, count in left_out.items())
        raise DataError(f"None of these items can be written in this format: {why}. Nothing was written.")
