"""C source: numbers and labels as arrays, the runtime's parts put together, and the folder that leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError
from stillhouse.export.c_fixed import powers
from stillhouse.export.folders import check_out, written_whole

__all__ = ["Answers", "Source", "write_folder"]

ABOUT = "student.json"
"""What is told of a student in C; by this file a folder is known as one."""
LINE = 116
"""Characters of a line of numbers."""
TYPES = {
    "int8": "signed char",
    "uint8": "unsigned char",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}


@final
@dataclass(frozen=True)
class Answers:
    """What a student's scores are about: the labels of each field, and the temperature of each."""

    labels: tuple[tuple[str, ...], ...]
    temperatures: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.labels or not all(self.labels):
            raise UsageError("A student in C needs labels, and there are none.")
        if len(self.temperatures) != len(self.labels) or min(self.temperatures) <= 0:
            raise UsageError(f"Each of {len(self.labels)} fields needs a temperature above 0, not {self.temperatures}.")
        odd = [label for part in self.labels for label in part if set(label) & set("\0\n\t")]
        if odd:
            raise UsageError(
                f"The label {odd[0]!r} holds a tab, a line break or a NUL, which the C student cannot print."
            )

    @property
    def count(self) -> int:
        """All labels of all fields."""
        return sum(map(len, self.labels))


@final
@dataclass(frozen=True)
class Source:
    """A student in C: which parts of the runtime it takes, its sizes, and its numbers."""

    kind: str
    """`text` or `image`: which header and which program go with it."""
    parts: tuple[str, ...]
    """Files of the runtime, in the order in which they make `student.c`."""
    answers: Answers
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Macros that callers see."""
    macros: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])
    """Macros of `student_data.h`; an empty text for those that are only defined."""
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict[str, "npt.NDArray[Any]"])
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What `student.json` says of it."""
    read_me: str = ""

    def files(self) -> dict[str, str]:
        """Every file of the student in C, by name."""
        sizes = {"STUDENT_FIELDS": len(self.answers.labels), "STUDENT_LABELS": self.answers.count, **self.sizes}
        lines = "".join(f"#define {name} {value}\n" for name, value in sizes.items())
        includes = '#include <string.h>\n\n#include "student.h"\n#include "student_data.h"\n\n'
        return {
            "student.h": _runtime(f"{self.kind}.h").replace("@SIZES@\n", lines),
            "student.c": includes + "\n".join(_runtime(part) for part in ("answers.c", *self.parts)),
            "student_data.h": self._data(),
            "main.c": _runtime(f"main_{self.kind}.c"),
            "Makefile": _runtime("Makefile"),
            "README.md": self.read_me,
        }

    def _data(self) -> str:
        macros = [f"#define {name} {value}".rstrip() for name, value in self.macros.items()]
        arrays = [array(name, values) for name, values in {**self._answers(), **self.arrays}.items() if values.size]
        head = "/* The student's numbers, written by Stillhouse; only student.c includes them. */\n"
        return "\n".join([head, *macros, "", *arrays])

    def _answers(self) -> dict[str, npt.NDArray[Any]]:
        names = b"".join(label.encode() + b"\0" for part in self.answers.labels for label in part)
        heats = [np.log2(np.e) / temperature * 2**16 for temperature in self.answers.temperatures]
        return {
            "answer_sizes": np.asarray([len(part) for part in self.answers.labels], dtype=np.uint16),
            "answer_heats": np.rint(heats).astype(np.uint32),
            "answer_powers": powers().astype(np.uint32),
            "answer_names": np.frombuffer(names, dtype=np.uint8),
        }


def array(name: str, values: npt.NDArray[Any]) -> str:
    """A constant array of one or two dimensions. Lines are broken where they are full."""
    kind = TYPES[values.dtype.name]
    shape = "".join(f"[{size}]" for size in values.shape)
    if values.ndim == 2:
        rows = ["{" + ", ".join(map(_number, row)) + "}" for row in values.tolist()]
    else:
        rows = list(map(_number, values.ravel().tolist()))
    return f"static const {kind} {name}{shape} = {{\n{_lines(rows)}}};\n"


def _number(value: int) -> str:
    """A whole number as C99 takes it without a warning."""
    if value == -(2**31):
        return "-2147483647 - 1"
    return f"{value}u" if value > 2**31 - 1 else str(value)


def _lines(words: Sequence[str]) -> str:
    lines: list[str] = []
    line = ""
    for word in words:
        if line and len(line) + len(word) + 2 > LINE:
            lines.append(line)
            line = ""
        line += f"{word}, "
    return "".join(f"    {line.rstrip()}\n" for line in [*lines, line])


def _runtime(name: str) -> str:
    return resources.files("stillhouse.export").joinpath("c_runtime", name).read_text(encoding="utf-8")


def write_folder(out: Path, files: Mapping[str, str], about: Mapping[str, Any]) -> list[Path]:
    """Write the files and `student.json` into `out`, whole or not at all.

    What is there already is replaced when it is a student in C, and otherwise left alone (UsageError).
    """
    check_out(out, ABOUT, ())
    told = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with written_whole(out) as waiting:
        for name, text in {**files, ABOUT: told}.items():
            (waiting / name).write_text(text, encoding="utf-8")
    return sorted(out.iterdir())
