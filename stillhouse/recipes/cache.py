"""Finished stages, kept by the hash of what they depend on, so that a rerun does only what changed."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from stillhouse.artifacts import hash_folder, hash_json
from stillhouse.errors import UsageError
from stillhouse.training.events import Listener, StageDone, StageStarted

__all__ = ["Artifact", "StageCache"]


@dataclass(frozen=True)
class Artifact:
    """What a stage made: a folder, the hash of its content, and how long the making took."""

    path: Path
    hash: str
    seconds: float


@final
class StageCache:
    """Stages under one home folder. A stage half made lies in `NAME-KEY.partial`, where it goes on.

    With `fresh` what earlier runs left is made again, once: what this run has made stays, others may point into it.
    """

    def __init__(self, home: Path, tell: Listener, fresh: bool = False) -> None:
        self.folder = home / "stages"
        self.tell, self.fresh = tell, fresh
        self._made: set[Path] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The home folder {home} cannot be written: {error.strerror}. Give another --home."
            ) from error

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep a second run out of this home while one works in it."""
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"Another run is at work in {self.folder.parent}. Wait for it, or give this one its own --home."
                ) from error
            yield

    def stage(self, name: str, title: str, inputs: dict[str, Any], make: Callable[[Path], str]) -> Artifact:
        """The artifact of a stage: found when `inputs` were met before, else made.

        `make` is given the stage's folder, in which it may find and leave what it needs to go on after
        a kill (in files whose names start with a dot), and answers with a summary in a few words.
        """
        key = hash_json(inputs)[:16]
        done, partial = self.folder / f"{name}-{key}", self.folder / f"{name}-{key}.partial"
        self.tell(StageStarted(name, title))
        if self.fresh and done not in self._made:
            shutil.rmtree(done, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)
        if done.is_dir():
            record = json.loads((done / ".stage.json").read_text())
            self.tell(StageDone(name, record["summary"], True, record["seconds"]))
            return Artifact(done, record["hash"], record["seconds"])
        partial.mkdir(exist_ok=True)
        start = time.monotonic()
        summary = make(partial)
        seconds = time.monotonic() - start
        for leftover in [path for path in partial.iterdir() if path.name.startswith(".")]:
            leftover.unlink()
        content = hash_folder(partial)
        record = {"hash": content, "seconds": seconds, "summary": summary, "inputs": inputs}
        (partial / ".stage.json").write_text(json.dumps(record, indent=1, default=str))
        partial.rename(done)
        self._made.add(done)
        self.tell(StageDone(name, summary, False, seconds))
        return Artifact(done, content, seconds)
