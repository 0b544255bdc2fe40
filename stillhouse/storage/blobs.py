"""Blobs: bytes by their SHA-256 in the home folder, each once, there whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar, final

from stillhouse.errors import StorageError, StorageFull
from stillhouse.storage.file_records import Blob

__all__ = ["Blobs", "Draft"]

PIECE = 2**20
"""Bytes that are read or copied at once."""

RESERVE = 64 * 2**20
"""Bytes of the disk that files leave to the database."""

SETTLED = 60
"""Seconds after which a draft that nobody writes any more is known to be a leftover."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Result = TypeVar("Result")


@final
class Draft:
    """Bytes on their way in: a file that no one else sees, and that is gone once the draft is left, unless it was kept.

    Its lock tells others that somebody writes it still. All its work is done in threads.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, 0
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._busy = threading.Lock()

    async def __aenter__(self) -> Draft:
        await _in_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self._drop))

    async def write(self, data: bytes) -> None:
        """Append bytes; raises StorageFull when the disk has no room for them."""
        await _in_thread(lambda: self.append(data))

    def append(self, data: bytes) -> None:
        """The same, for who is in a thread already."""
        with self._busy:
            if self._file is None:
                raise StorageError("The draft of a file was dropped while it was written.")
            self._file.write(data)
            self._hash.update(data)
            self.bytes += len(data)

    def fill(self, pieces: Iterable[bytes], blobs: Blobs) -> Blob:
        """All of it at once, kept in its place."""
        self._open()
        try:
            for piece in pieces:
                self.append(piece)
            self._sync()
            blob = Blob(self._hash.hexdigest(), self.bytes)
            blobs.keep(self, blob)
            return blob
        finally:
            self._drop()

    async def seal(self) -> Blob:
        """The bytes as they are on the disk now, to stay there."""
        await _in_thread(self._sync)
        return Blob(self._hash.hexdigest(), self.bytes)

    def lines(self, longest: int) -> Iterator[bytes]:
        """The lines that were written, without holding them all; of one that is too long its first `longest` bytes."""
        with self._busy:
            if self._file:
                self._file.flush()
        with self.path.open("rb") as file:
            while line := file.readline(longest + 1):
                yield line

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def _sync(self) -> None:
        with self._busy:
            if self._file is None:
                raise StorageError("The draft of a file was dropped before it was kept.")
            self._file.flush()
            os.fsync(self._file.fileno())

    def _drop(self) -> None:
        with self._busy:
            if self._file:
                with suppress(OSError):  # what could not be written is not wanted any more
                    self._file.close()
            self._file = None
            self.path.unlink(missing_ok=True)


@final
class Blobs:
    """The bytes of one database's files. Who refers to which is the database's matter: see `Files`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def draft(self) -> Draft:
        """New bytes, to be written within `async with`."""
        return Draft(self.folder / "incoming" / secrets.token_hex(16))

    def path(self, digest: str) -> Path:
        """Where bytes lie."""
        return self.folder / digest[:2] / digest

    def check_room(self, size: int) -> None:
        """Raise StorageFull when the disk has no room for so many bytes."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if size + RESERVE > free:
            raise StorageFull(f"The disk has no room for {size} bytes: {max(0, free - RESERVE)} are free.")

    def put(self, pieces: Iterable[bytes]) -> Blob:
        """Bytes kept as they come, for who is in a thread already; raises StorageFull and StorageError.

        They stay for an hour before a thorough tidying takes them for a leftover: name them in the database by then.
        """
        draft = self.draft()
        try:
            blob = draft.fill(pieces, self)
            os.utime(self.path(blob.digest))  # if they were there already, they count as new
            return blob
        except OSError as error:
            raise _refused(error) from error

    def keep(self, draft: Draft, blob: Blob) -> None:
        """Give the bytes of a sealed draft their place, to be there also after the power fails."""
        place = self.path(blob.digest)
        if not _is_whole(place, blob):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.path.replace(place)
            for folder in (place.parent, self.folder):
                _sync_folder(folder)

    def open(self, blob: Blob) -> BinaryIO:
        """The bytes, to be read; raises StorageError when they are not there."""
        place = self.path(blob.digest)
        if not _is_whole(place, blob):
            raise StorageError(
                f"The bytes of a file are not at {place}. Files lie in the home folder, also where the database is "
                "elsewhere: start the server with the home folder that has them, or restore a backup."
            )
        return place.open("rb")

    def remove(self, digest: str) -> None:
        """Forget bytes to which nobody refers; they stay while they are held."""
        with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            if alone:
                self.path(digest).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Generator[None]:
        """While this is open nothing is removed, by whatever program: what goes meanwhile is left to `leftovers`."""
        with self._lock(fcntl.LOCK_SH):
            yield

    def leftovers(self, older: float) -> list[str]:
        """The digests of bytes that came before a time in Unix seconds: some may belong to nothing."""
        found = [path for path in self.folder.glob("[0-9a-f][0-9a-f]/*") if len(path.name) == 64]
        return [path.name for path in found if _changed(path) < older]

    def drop_drafts(self) -> None:
        """Remove the drafts of programs that ended without a word."""
        for path in self.folder.glob("incoming/*"):
            if _changed(path) > time.time() - SETTLED:
                continue
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self, how: int) -> Generator[bool]:
        """Whether the lock on removals was had."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "held").open("ab") as file:
            try:
                fcntl.flock(file, how)
            except BlockingIOError:
                yield False
                return
            yield True


async def _in_thread(work: Callable[[], Result]) -> Result:
    """What is done with the disk, in a thread; raises StorageFull and StorageError."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise _refused(error) from error


def _refused(error: OSError) -> StorageError:
    if error.errno in FULL:
        return StorageFull(f"The disk has no room for a file: {error.strerror}.")
    return StorageError(f"A file cannot be kept: {error.strerror or error}.")


def _is_whole(place: Path, blob: Blob) -> bool:
    try:
        return place.stat().st_size == blob.bytes
    except OSError:
        return False


def _changed(path: Path) -> float:
    """When a file was changed last; never, when it is gone by now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
