"""AnswerBook: what a teacher answered, in one file that only grows, found again by what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, final

import orjson

from stillhouse.errors import StillhouseError

__all__ = ["AnswerBook"]


@final
class AnswerBook:
    """Answers by key: a line of JSON each, on the disk as soon as it came.

    A line that a kill tore is left out, and cut off before the next is written. One process writes at a time.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; raises StillhouseError where a whole line is damaged."""
        self.path = path
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._whole = 0
        if path.is_file():
            self._read(path.read_bytes())

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        return self._answers[key]

    def keep(self, key: str, answer: Mapping[str, Any]) -> None:
        """Write an answer down."""
        line = orjson.dumps({"asked": key, "answer": answer}) + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self.path.is_file() else "w+b") as file:
            file.seek(self._whole)
            file.truncate()
            file.write(line)
        self._whole += len(line)
        self._answers[key] = answer

    def _read(self, content: bytes) -> None:
        self._whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[: self._whole].splitlines(), 1):
            try:
                found = cast("dict[str, Any]", orjson.loads(line))
                self._answers[found["asked"]] = found["answer"]
            except (ValueError, KeyError, TypeError) as error:
                raise StillhouseError(
                    f"{self.path}, line {number} is damaged ({error}). Delete that line; what it held is asked again."
                ) from error
