"""JobFolder: what a job and its training process tell each other, in files that survive both."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import orjson

__all__ = ["JobFolder"]


@final
@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of one job; whatever is in it is there whole."""

    path: Path

    @classmethod
    def of(cls, home: Path, job_id: str) -> JobFolder:
        """The folder of a job in a home folder."""
        return cls(home / "jobs" / job_id)

    @property
    def lock(self) -> Path:
        """The file that the one training process holds."""
        return self.path / "lock"

    @property
    def has_rows(self) -> bool:
        """Whether what is to be learnt is here."""
        return (self.path / "train.jsonl").is_file()

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Keep rows under a name, and count them."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting, count = self.path / f"{name}.writing", 0
        with waiting.open("wb") as file:
            for row in rows:
                file.write(orjson.dumps(row) + b"\n")
                count += 1
        waiting.replace(self.path / f"{name}.jsonl")
        return count

    def read_rows(self, name: str) -> list[Any]:
        """Rows that were kept, none where there are none of this name."""
        path = self.path / f"{name}.jsonl"
        if not path.is_file():
            return []
        with path.open("rb") as file:
            return [orjson.loads(line) for line in file]

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Keep what is to be done."""
        waiting = self.path / "plan.writing"
        waiting.write_bytes(orjson.dumps(plan))
        waiting.replace(self.path / "plan.json")

    def read_plan(self) -> dict[str, Any]:
        """What is to be done."""
        return orjson.loads((self.path / "plan.json").read_bytes())

    def mend(self) -> None:
        """Drop what a killed process left of its last line."""
        path = self.path / "told.jsonl"
        if path.is_file():
            content = path.read_bytes()
            if content and not content.endswith(b"\n"):
                path.write_bytes(content[: content.rfind(b"\n") + 1])

    def tell(self, line: Mapping[str, Any]) -> None:
        """Add a line to what the training process tells."""
        with (self.path / "told.jsonl").open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")

    def told(self, start: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The whole lines from a byte on, and the byte after them."""
        path = self.path / "told.jsonl"
        if not path.is_file():
            return [], start
        with path.open("rb") as file:
            file.seek(start)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        return [orjson.loads(line) for line in whole.splitlines()], start + len(whole)

    def steps(self) -> Iterator[dict[str, Any]]:
        """The figures of every step once, as they were told last."""
        lines = [line | {"step": line["rung"]} if "rung" in line else line for line in self.told()[0]]
        by_step = {line["step"]: line for line in lines if "step" in line}
        return iter([by_step[step] for step in sorted(by_step)])

    def clear(self) -> None:
        """Drop what only training needs; models stay, and what was told."""
        shutil.rmtree(self.path / "stages", ignore_errors=True)
        for name in ("train.jsonl", "valid.jsonl", ".checkpoint", ".writing"):
            (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Drop everything."""
        shutil.rmtree(self.path, ignore_errors=True)
