"""A folder written whole or not at all, in the place of an earlier one of its kind and of nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from stillhouse.errors import UsageError

__all__ = ["check_out", "written_into", "written_whole"]

NEW, OLD = "new", "old"
"""What a room holds: the folder that is being filled, and the earlier one on its way out."""


def check_out(out: Path, mark: str, kept: Iterable[Path]) -> None:
    """Make sure that a folder can be written to `out` before any work is done.

    What lies there may only be an earlier one, which has the file `mark`, and must not hold any of `kept`.
    """
    _refuse_file(out)
    if out.resolve().is_mount():
        raise UsageError(f"--out {out} is a mount point, which cannot be replaced. Name a folder in it.")
    if out.is_dir() and any(out.iterdir()) and not (out / mark).is_file():
        raise UsageError(f"--out {out} is a folder that holds other things. Name a new one, or that of an earlier run.")
    parent = out.resolve().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UsageError(f"--out {out} cannot be written: {parent} is a file. Name another folder.")
    for each in kept:
        if each.resolve().is_relative_to(out.resolve()):
            raise UsageError(f"--out {out} would replace {each}. Name another folder.")
    try:
        TemporaryDirectory(prefix=".stillhouse-", dir=parent).cleanup()  # permissions alone do not tell
    except OSError as error:
        told = error.strerror or str(error)
        raise UsageError(f"--out {out} cannot be written: {parent} takes no folder ({told}). Name another.") from error


@contextmanager
def written_whole(out: Path) -> Generator[Path]:
    """A new folder to be filled, which is moved to `out` afterwards, in the place of an earlier one, if nothing was
    raised.

    Where it cannot be moved there, the earlier one stays, and what was made is left beside it (UsageError).
    """
    out = out.resolve()
    with _room(out) as room:
        (room / NEW).mkdir()
        yield room / NEW
        _replace(out, room)


@contextmanager
def written_into(out: Path) -> Generator[Path]:
    """A new folder whose files are moved into `out` afterwards, if nothing was raised; what has other names stays."""
    _refuse_file(out)
    out = out.resolve()
    with _room(out) as room:
        yield room
        out.mkdir(exist_ok=True)
        for file in sorted(room.iterdir()):
            file.replace(out / file.name)


def _refuse_file(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Name a folder that does not exist yet.")


@contextmanager
def _room(out: Path) -> Generator[Path]:
    """A hidden folder beside `out` for one run alone; those that killed runs left are put away before."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in out.parent.glob(f".{escape(out.name)}.partial-*"):
        with suppress(OSError), _opened(left) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is held where a run is at work
            if any(left.iterdir()):  # one that is empty is just being made
                _clear(left, out)
    room = Path(mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        with _opened(room) as lock:
            with suppress(OSError):  # some file systems of other machines have no locks: nothing is put away there
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield room
    finally:
        _clear(room, out)


@contextmanager
def _opened(folder: Path) -> Generator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _clear(room: Path, out: Path) -> None:
    """Remove a room; the earlier folder goes back where nothing took its place."""
    if (room / OLD).is_dir() and not out.exists():
        (room / OLD).rename(out)
    shutil.rmtree(room, ignore_errors=True)


def _replace(out: Path, room: Path) -> None:
    """Put what was made into its place, and the earlier folder out of it."""
    try:
        if out.exists():
            out.rename(room / OLD)
        (room / NEW).rename(out)
    except OSError as error:
        beside = out.with_name(f"{out.name}-{room.name.rpartition('-')[2]}")
        (room / NEW).rename(beside)
        told = error.strerror or str(error)
        raise UsageError(
            f"--out {out} cannot be replaced ({told}). What was made is whole; it is in {beside}."
        ) from error
