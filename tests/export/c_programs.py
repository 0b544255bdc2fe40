"""Students in C compiled for tests: strictly, with sanitizers, and with a program that shows what they read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from stillhouse.export.c_build import SANITIZE, STRICT, lines_of
from stillhouse.export.c_source import Source

SHOWS_ROWS = """
#include <stdio.h>
#include "student.c"

static unsigned char line[65536];

int main(void)
{
    int c = getchar();
    while (c != EOF) {
        uint32_t bytes = 0, at;
        for (; c != EOF && c != '\\n'; c = getchar())
            line[bytes++] = (unsigned char)c;
        read_text(line, bytes);
        for (at = 0; at < COUNT; at++)
            printf("%lu ", (unsigned long)ROW);
        printf("\\n");
        if (c != EOF)
            c = getchar();
    }
    return 0;
}
"""


def compiler() -> str:
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("needs gcc, which is absent")
    return found


def written(source: Source, folder: Path) -> Path:
    """The files of a source in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in source.files().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def build(folder: Path, program: str, sanitize: bool = True) -> Path:
    """A program in the folder of a student, compiled as strictly as can be."""
    made = folder / Path(program).stem
    options = [*STRICT, *(SANITIZE if sanitize else ()), "-O1", "-o", str(made)]
    sources = [program] if "student.c" in (folder / program).read_text() else [program, "student.c"]
    done = subprocess.run([compiler(), *options, *sources], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return made


def rows_read(folder: Path, texts: Sequence[str] | bytes, count: str, row: str) -> list[list[int]]:
    """The rows of the table that a student takes for each text; `count` and `row` say it in C."""
    shows = SHOWS_ROWS.replace("COUNT", count).replace("ROW", row)
    (folder / "shows.c").write_text(shows, encoding="utf-8")
    given = texts if isinstance(texts, bytes) else lines_of(texts)
    done = subprocess.run([build(folder, "shows.c")], input=given, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return [[int(word) for word in line.split()] for line in done.stdout.decode().splitlines()]
