"""Book: what a teacher answered and what was paid for it, in one file that only grows; one process writes at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, cast, final

import orjson

from stillhouse.artifacts import hash_json
from stillhouse.chat import Usage
from stillhouse.errors import StillhouseError, StorageError, UsageError
from stillhouse.generation.budget import Ledger
from stillhouse.signals.frames import sync_folder

__all__ = ["Book", "Kept", "Scribe", "book_place"]

HEAD = b'{"crc":"'
"""How a line with a checksum begins; the checksum is of what follows it."""
PIECE = 2**20


def book_place(home: Path, url: str, model: str) -> Path:
    """Where the book of a model at an API lies in a home folder."""
    return home / "answers" / f"{hash_json([url.rstrip('/'), model])[:16]}.jsonl"


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """What the book says of a call: choices with what they cost, or why it was refused."""

    choices: tuple[Mapping[str, Any], ...] = ()
    usage: Usage | None = None
    cost: Decimal = Decimal(0)
    refused: str | None = None


@final
class Book:
    """Lines of JSON, each with a checksum; what was answered is found by the digest of the call.

    Killed while it writes, it leaves at most a torn line, which is left out and cut off before the next is written.
    Lines of older books, `{"asked", "answer"}` by the SHA-256 of the body alone, are read as well.
    """

    def __init__(self, path: Path) -> None:
        """Read where everything lies; raises StillhouseError naming a line that is damaged."""
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._lock: int | None = None
        self._lengths: dict[str, tuple[int, int]] = {}
        """Of each kind the answers with a count of their tokens, and the tokens that were written in all of them."""
        self._whole = self._read() if path.is_file() else 0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, digest: str) -> bool:
        return digest in self._places

    def __enter__(self) -> Book:
        """Be the only one who writes; raises UsageError while another does."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise UsageError(
                f"Another run asks this teacher and writes {self.path}. Wait for it, or give this one its own --home."
            ) from error
        self._lock = lock
        if self.path.is_file() and self.path.stat().st_size != self._whole:
            self._again()  # another run has written since, or was killed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    def ledger(self, job: str) -> Ledger:
        """What a job has spent, as it goes on."""
        return self._ledgers.setdefault(job, Ledger())

    def usual(self, kind: str) -> float | None:
        """How many tokens the answers of a kind have on average; None where none is known."""
        heard, written = self._lengths.get(kind, (0, 0))
        return written / heard if heard else None

    def find(self, *digests: str) -> Kept | None:
        """What was answered to a call, by the first of its digests that is known."""
        for digest in digests:
            if digest in self._places:
                start, length = self._places[digest]
                with self.path.open("rb") as file:
                    file.seek(start)
                    return _kept(_parse(file.read(length)))
        return None

    def append(self, records: list[Mapping[str, Any]]) -> None:
        """Write records down and wait until they are on the disk; raises StorageError, and then none is there.

        What they say of money is the writer's to follow: see `ledger`.
        """
        if self._lock is None:
            raise StorageError(f"{self.path} is not open to be written.")
        lines = [_line(record) for record in records]
        created = not self.path.is_file()
        try:
            with self.path.open("w+b" if created else "r+b") as file:
                file.truncate(self._whole)
                file.seek(self._whole)
                try:
                    file.write(b"".join(lines))
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self._whole)
                    raise
            if created:
                sync_folder(self.path.parent)
        except OSError as error:
            raise StorageError(f"An answer cannot be written to {self.path}: {error.strerror or error}.") from error
        for record, line in zip(records, lines, strict=True):
            self._index(record, self._whole, len(line))
            self._whole += len(line)

    def _again(self) -> None:
        self._places.clear()
        self._ledgers.clear()
        self._lengths.clear()
        self._whole = self._read()

    def _read(self) -> int:
        """Take in every whole line; returns where the last ends."""
        start = 0
        with self.path.open("rb", buffering=PIECE) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = _parse(line)
                    self._index(record, start, len(line))
                    self._account(record)
                except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                    raise StillhouseError(
                        f"{self.path}, line {number} is damaged ({error}). Delete that line; what it held is asked "
                        "again."
                    ) from error
                start += len(line)
        return start

    def _index(self, record: Mapping[str, Any], start: int, length: int) -> None:
        """Remember where an answer lies, and how long it was."""
        digest = next((record[name] for name in ("told", "refused", "asked") if name in record), None)
        if digest is not None:
            _ = record["choices"] if "told" in record else record["reason" if "refused" in record else "answer"]
            self._places[str(digest)] = start, length
            if record.get("usage"):
                heard, written = self._lengths.get(kind := str(record.get("kind", "")), (0, 0))
                self._lengths[kind] = heard + 1, written + int(record["usage"][1])
        elif not {"sent", "free"} & record.keys():
            raise KeyError("it says nothing of a call")

    def _account(self, record: Mapping[str, Any]) -> None:
        """Follow what was reserved and paid."""
        job, amount = str(record.get("job", "")), Decimal(str(record.get("most", 0)))
        if "sent" in record:
            self.ledger(job).reserve(record["sent"], amount)
        elif "free" in record:
            self.ledger(job).release(record["free"], amount)
        elif "told" in record:
            cost = Decimal(str(record["cost"]))
            self.ledger(job).settle(record["told"], amount, cost, bool(record.get("replayed")))


@final
class Scribe:
    """Writes for many at once: what comes while a write is under way goes with the next, and waits on the disk once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._waiting: deque[tuple[Mapping[str, Any], asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, record: Mapping[str, Any]) -> None:
        """Return when the record is on the disk; raises StorageError."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((record, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                await asyncio.to_thread(self._book.append, [record for record, _ in batch])
            except Exception as error:
                trouble: Exception | None = error
            else:
                trouble = None
            for _, done in batch:
                if done.cancelled():
                    continue
                if trouble is None:
                    done.set_result(None)
                else:
                    done.set_exception(trouble)


def _line(record: Mapping[str, Any]) -> bytes:
    """A record as a line: `{"crc":"0a1b2c3d",...}`."""
    content = orjson.dumps(record)[1:] + b"\n"
    return HEAD + b"%08x" % zlib.crc32(content) + b'",' + content


def _parse(line: bytes) -> Mapping[str, Any]:
    """The record in a line; raises ValueError where it is not as it was written."""
    if line.startswith(HEAD):
        at = len(HEAD)
        content = line[at + 10 :]
        if line[at : at + 8] != b"%08x" % zlib.crc32(content):
            raise ValueError("its checksum is another")
    found: Any = orjson.loads(line)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return cast("Mapping[str, Any]", found)


def _kept(record: Mapping[str, Any]) -> Kept:
    if "refused" in record:
        return Kept(refused=str(record["reason"]))
    if "told" in record:
        usage = record.get("usage")
        return Kept(tuple(record["choices"]), Usage(*usage) if usage else None, Decimal(str(record["cost"])))
    answer: Mapping[str, Any] = record["answer"]
    return Kept(refused=str(answer["refused"])) if "refused" in answer else Kept((answer,))
