"""The files of a home folder without a subject: caches are dropped, lines left out, what repeats words written anew."""

from __future__ import annotations

import fcntl
import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast, final

from stillhouse.artifacts import hash_file
from stillhouse.data.trace import Trace
from stillhouse.errors import BundleError, UsageError
from stillhouse.recipes.write_bundle import write_json
from stillhouse.reports import model_card, run_report
from stillhouse.reports.record import RunRecord

__all__ = ["WORK", "ErasingHome"]

WORK = "erasures"
"""The folder in the home folder in which erasures keep what they know until they end, and write their recipes."""

CACHES = ("stages", "signals")
"""Folders of what can be made again, and does not say of whom it was made."""

APART = ("blobs", "datasets", WORK)
"""Folders whose files are the matter of others."""

WEIGHTS = (".onnx", ".safetensors", ".bin", ".gguf", ".pt", ".pte", ".npy", ".npz", ".ort")
"""Endings of files of numbers, which are not looked through."""

DATABASES = (".db", ".sqlite", ".db-wal", ".db-shm", ".sqlite-wal", ".sqlite-shm")

LINES = (".txt", ".log", ".csv", ".tsv", ".out", ".err")
"""Endings of text files whose lines can be left out one by one."""

TOKENIZERS = re.compile(r"tokenizer.*\.json|vocab\..*|(added_tokens|special_tokens_map)\.json|merges\.txt")
"""Files whose texts are numbered: a student reads nothing any more once one of them is changed."""

PAGES = ("report.html", "README.md")
"""What is written from the record of a run."""


@final
class ErasingHome:
    """A home folder, and bundles elsewhere, as an erasure sees them."""

    def __init__(self, home: Path, trace: Trace, tell: Callable[[str], None]) -> None:
        self._home, self._trace, self._tell = home.absolute(), trace, tell

    def caches(self, keep_signals: bool = False) -> list[Path]:
        """The folders of finished and unfinished stages, and of teachers' signals."""
        kinds = CACHES[:1] if keep_signals else CACHES
        return [path for kind in kinds for path in sorted((self._home / kind).glob("*")) if path.is_dir()]

    def drop_caches(self, keep_signals: bool = False) -> None:
        """Remove them, while no run is at work in this home."""
        folder = self._home / CACHES[0]
        if not self._home.is_dir() or not self.caches(keep_signals):
            return
        folder.mkdir(exist_ok=True)
        with _locked(folder / ".lock", f"A run is at work in {self._home}. Wait for it, then erase again."):
            for path in self.caches(keep_signals):
                self._tell(f"Dropping {path.name}")
                shutil.rmtree(path)

    def survey(self) -> dict[str, list[str]]:
        """Files beside databases, datasets and caches that hold the subject's words or name, with which of both."""
        found: dict[str, list[str]] = {}
        for path in self._files():
            seen = self._seen(path)
            if seen:
                found[self.shown(path)] = sorted(seen)
        return found

    def erase(self) -> list[dict[str, Any]]:
        """Take the subject out of those files; what became of each, by hashes before and after."""
        told: list[dict[str, Any]] = []
        for path in list(self._files()):
            if self._seen(path):
                self._tell(f"Erasing from {self.shown(path)}")
                before = hash_file(path)
                self._rewrite(path)
                after = hash_file(path) if path.is_file() else None
                told.append({"file": self.shown(path), "before": before, "after": after})
        return told

    def clean_bundle(self, folder: Path) -> list[dict[str, Any]]:
        """The same for the files of one bundle, wherever it lies."""
        told: list[dict[str, Any]] = []
        for path in _bundle_files(folder):
            if self._seen(path):
                before = hash_file(path)
                self._rewrite(path)
                told.append({"file": str(path), "before": before, "after": hash_file(path) if path.is_file() else None})
        return told

    def mentions(self, bundles: Iterable[Path] = ()) -> list[str]:
        """Files that stay as they are, also of bundles elsewhere, though they hold the name where it may be a word like
        any other."""
        found: list[str] = []
        for path in chain(self._files(), *map(_bundle_files, bundles)):
            with _readable(path), _opened(path) as file:
                if not TOKENIZERS.fullmatch(path.name) and self._trace.mentioned_in(file) and not self._seen(path):
                    found.append(self.shown(path))
        return found

    def leftovers(self) -> list[str]:
        """Files that hold words of the subject still, or the name, databases and blobs included; weights are not
        read."""
        found: list[str] = []
        for path in self._every():
            if path.suffix in WEIGHTS:
                continue
            seen = self._seen(path)
            if path.suffix in DATABASES or path.relative_to(self._home).parts[0] in APART:
                seen -= {"name"}  # which another project may know as well
            if seen:
                found.append(self.shown(path))
        return found

    def shown(self, path: Path) -> str:
        """A file by its place in the home folder, without the subject's name."""
        place = path.relative_to(self._home).as_posix() if path.is_relative_to(self._home) else str(path)
        return place.replace(self._trace.subject, "[subject]") if self._trace.mentions(place.encode()) else place

    def _every(self) -> Iterator[Path]:
        for path in sorted(self._home.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.relative_to(self._home).parts[0] != WORK:
                yield path

    def _files(self) -> Iterator[Path]:
        """Files that may be looked through and written anew."""
        for path in self._every():
            apart = path.relative_to(self._home).parts[0] in (*APART, *CACHES)
            if not apart and path.suffix not in WEIGHTS and path.suffix not in DATABASES:
                yield path

    def _seen(self, path: Path) -> set[str]:
        """What of the subject a file holds; of lines of JSON also rows that only an id tells."""
        seen: set[str] = set()
        with _readable(path):
            with _opened(path) as file:
                seen = self._trace.in_file(file)
            if not seen and _is_lines(path):
                told: Counter[str] = Counter()
                with _opened(path) as file:
                    for _ in self._trace.kept_lines(file, told):
                        pass
                seen = set(told)
            if not self._trace.is_unmistakable:
                seen = (seen - {"name"}) | ({"name"} if self._is_named(path, seen) else set())
        return seen

    def _is_named(self, path: Path, seen: set[str]) -> bool:
        """Whether a file names a subject that is not unmistakable, where that can be taken out of it."""
        if TOKENIZERS.fullmatch(path.name):
            return False
        if path.suffix != ".json":
            return "name" in seen and _has_lines(path)
        content = path.read_bytes()
        if not self._trace.mentions(content):
            return False
        with suppress(ValueError):
            value = json.loads(content)
            return self._trace.cleaned(value) != value
        return False

    def _rewrite(self, path: Path) -> None:
        if TOKENIZERS.fullmatch(path.name):
            return  # it is told as left
        if path.name in PAGES and (path.parent / "record.json").is_file():
            self._rewrite_record(path.parent)
        elif _has_lines(path):
            with _quiet(path):
                self._rewrite_lines(path)
        elif path.name == "record.json":
            self._rewrite_record(path.parent)
        elif path.suffix == ".json":
            _replace(path, json.dumps(self._trace.cleaned(_json(path)), ensure_ascii=False, indent=1).encode() + b"\n")
        elif path.suffix in (".html", ".md"):
            path.unlink()

    def _rewrite_lines(self, path: Path) -> None:
        waiting = path.with_name(f".{path.name}.writing")
        packed = path.suffix == ".gz"
        with _opened(path) as source, gzip.open(waiting, "wb") if packed else waiting.open("wb") as target:
            target.writelines(self._trace.kept_lines(source, Counter()))
        waiting.chmod(path.stat().st_mode)
        waiting.replace(path)

    def _rewrite_record(self, folder: Path) -> None:
        """A record without the subject; of a distil run also the report and the card, written from it."""
        place = folder / "record.json"
        record = self._trace.cleaned(_json(place))
        try:
            run = RunRecord.from_json(record)
        except BundleError:
            run = None
        write_json(place, record)
        if run is not None:
            _replace(folder / "report.html", run_report.render(run).encode())
            _replace(folder / "README.md", model_card.render(run).encode())
        else:
            for name in PAGES:
                if (folder / name).is_file() and self._seen(folder / name):
                    (folder / name).unlink()


def _bundle_files(folder: Path) -> list[Path]:
    """The files of a bundle that are looked through."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in WEIGHTS]


def _is_lines(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".jsonl.gz"))


def _has_lines(path: Path) -> bool:
    """Whether single lines of a file can be left out."""
    return _is_lines(path) or path.suffix in LINES


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(
            f"{path} holds words of the subject, but is no JSON ({error}). Remove it, and erase again."
        ) from error


def _replace(path: Path, content: bytes) -> None:
    waiting = path.with_name(f".{path.name}.writing")
    waiting.write_bytes(content)
    waiting.replace(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """While a file is read; one that is gone meanwhile was somebody else's. Raises UsageError for another."""
    try:
        yield
    except FileNotFoundError:
        pass
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read ({error}), and may hold what is to be erased.") from error


@contextmanager
def _locked(lock: Path, otherwise: str) -> Iterator[None]:
    """While nobody else holds a lock; raises UsageError where somebody does."""
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(otherwise) from error
        yield


@contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """While no program writes a file of lines: a teacher's book has a lock beside it, a job's folder one inside."""
    for lock in (path.with_suffix(".lock"), path.parent / "lock"):
        if lock.is_file():
            with _locked(lock, f"{path} is being written. Wait for who writes it, or cancel that, and erase again."):
                yield
            return
    yield
