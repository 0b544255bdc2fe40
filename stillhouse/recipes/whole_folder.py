"""A folder written whole or not at all, in the place of an earlier one of its kind and of nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stillhouse.errors import UsageError

__all__ = ["check_out", "written_whole"]


def check_out(out: Path, mark: str, kept: Iterable[Path]) -> None:
    """Make sure that a folder can be written to `out` before any work is done.

    What lies there may only be an earlier one, which has the file `mark`, and must not hold any of `kept`.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Name a folder that does not exist yet.")
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
    """A new folder beside `out` to be filled, which is moved into its place afterwards, if nothing was raised."""
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    waiting, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    if old.is_dir() and not out.exists():
        old.rename(out)  # a run was killed after it took the earlier folder away and before it put its own there
    for leftover in (waiting, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        waiting.mkdir()
        yield waiting
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        raise
    if out.exists():
        out.rename(old)
    waiting.rename(out)
    shutil.rmtree(old, ignore_errors=True)
