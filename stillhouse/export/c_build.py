"""A student in C compiled and run on this machine: its answers, and the flash and RAM that it takes."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import ExportMismatch, UsageError

__all__ = ["Footprint", "Program", "find_compiler", "lines_of", "measure", "require_compiler"]

COMPILERS = ("gcc", "cc", "clang")
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
FLASH, RAM = (".text", ".rodata"), (".data", ".bss")
PATIENCE = 1_800.0
"""Seconds after which a compiler or a student that does not end is given up."""


@final
@dataclass(frozen=True)
class Footprint:
    """What a student in C takes, without its `main.c`, compiled for this machine and for size (-Os)."""

    flash: int
    """Bytes of `.text` and `.rodata`: code and constants."""
    ram: int
    """Bytes of `.data` and `.bss`."""
    stack: int
    """Bytes of the stack frames of all functions together: no chain of calls takes more, as none calls itself."""
    code: int
    """Bytes of `.text`, a part of `flash`."""
    compiler: str

    @property
    def sentence(self) -> str:
        return (
            f"flash {self.flash:,} bytes (code {self.code:,}), RAM {self.ram:,} bytes and at most {self.stack:,} of "
            f"stack, by {self.compiler}"
        )


def find_compiler() -> str | None:
    """The C compiler of this machine, if there is one."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def require_compiler() -> str:
    """The C compiler; raises UsageError where there is none."""
    found = find_compiler()
    if found is None:
        raise UsageError(
            f"A student in C is checked by compiling it, and there is no C compiler here ({', '.join(COMPILERS)}). "
            "Install one (Debian: apt install gcc libc6-dev), or export without checking."
        )
    return found


def measure(folder: Path, compiler: str) -> Footprint:
    """The flash and RAM of the student in `folder`."""
    with TemporaryDirectory() as scratch:
        made = Path(scratch) / "student.o"
        counted = ["-mno-red-zone"] if platform.machine() in ("x86_64", "AMD64") else []  # else small frames hide there
        options = ["-Os", "-fno-pie", "-fstack-usage", *counted, "-c", "-o", str(made), str(folder / "student.c")]
        _run([compiler, *STRICT, *options])
        listed = _run(["size", "-A", str(made)]).stdout.decode()
        sizes = {found[1]: int(found[2]) for found in re.finditer(r"^(\.\S+)\s+(\d+)", listed, re.M)}
        frames = re.findall(r"\t(\d+)\t\w", made.with_suffix(".su").read_text(encoding="utf-8"))
        version = _run([compiler, "-dumpfullversion", "-dumpversion"]).stdout.decode().strip()
    flash, ram = (sum(size for name, size in sizes.items() if name.startswith(parts)) for parts in (FLASH, RAM))
    code = sum(size for name, size in sizes.items() if name.startswith(".text"))
    return Footprint(flash, ram, sum(map(int, frames)), code, f"{Path(compiler).name} {version}")


@final
class Program:
    """A compiled student: bytes in, scores out. Used as a context; what was built is gone afterwards."""

    def __init__(self, folder: Path, compiler: str, sanitize: bool = False) -> None:
        self._scratch = TemporaryDirectory()
        self.path = Path(self._scratch.name) / "student"
        options = [*STRICT, *(SANITIZE if sanitize else ()), "-O2", "-o", str(self.path)]
        try:
            _run([compiler, *options, str(folder / "main.c"), str(folder / "student.c")])
        except BaseException:
            self._scratch.cleanup()
            raise

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def scores(self, given: bytes) -> npt.NDArray[np.float64]:
        """Raw scores `[rows, all labels]` for the bytes of texts, each a line, or of pictures."""
        lines = _run([str(self.path), "--scores"], given).stdout.decode().splitlines()
        return np.asarray([[int(score) for score in line.split()] for line in lines], dtype=np.float64) / 2**16

    def words(self, given: bytes) -> list[str]:
        """What it prints for people: each row's labels and shares."""
        return _run([str(self.path)], given).stdout.decode().splitlines()


def lines_of(texts: Sequence[str]) -> bytes:
    """Texts as lines: a line break within a text reads as a space, as both students take it."""
    return b"".join(text.replace("\n", " ").encode() + b"\n" for text in texts)


def _run(command: Sequence[str], given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=PATIENCE, check=False)
    except FileNotFoundError as error:
        raise UsageError(f"{command[0]} is needed to check a student in C and is not installed here.") from error
    except subprocess.TimeoutExpired as error:
        raise ExportMismatch(f"{Path(command[0]).name} did not end within {PATIENCE:.0f} seconds.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise ExportMismatch(f"{Path(command[0]).name} ended with {done.returncode}: {said or 'it said nothing'}")
    return done
