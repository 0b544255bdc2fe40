"""Archives: many files in one, with a manifest of their hashes at the end; written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast, final

from stillhouse.errors import StorageError, UsageError

__all__ = ["ArchiveWriter", "Entry", "Manifest", "check_archive", "entries"]

FORMAT = 1
MANIFEST = "manifest.json"
NAME = re.compile(r"(?!.*(^|/)\.\.?(/|$))[^/\x00][^\x00]*")
"""What members may be called: a path that leads downwards."""

PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One member: its SHA-256 in hex, and how many bytes it has."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds: when it was made and of what, rows by table, and every member."""

    stillhouse: str
    created: int
    kind: str
    """The database that was backed up: `sqlite` or `postgresql`."""
    form: str
    """The newest migration that it had seen."""
    tables: Mapping[str, int]
    members: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    format: int = FORMAT


@final
class ArchiveWriter:
    """A tar file beside its place, moved there when it is finished, else gone; zipped where its name ends in `.gz`."""

    def __init__(self, path: Path, sent: Callable[[int], None] = lambda size: None) -> None:
        """`sent` is told of bytes as they are written."""
        self._path, self._waiting, self._sent = path, path.with_name(f".{path.name}.partial"), sent
        self._entries: dict[str, Entry] = {}

    def __enter__(self) -> ArchiveWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise UsageError(f"{self._path} cannot be written: {error.strerror}. Name another file.") from error
        self._file = os.fdopen(descriptor, "wb")
        zipped = self._path.suffix in (".gz", ".tgz")
        self._tar = tarfile.open(fileobj=self._file, mode="w|gz" if zipped else "w|")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._tar.close()
            self._file.close()
        self._waiting.unlink(missing_ok=True)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def add(self, name: str, source: IO[bytes], size: int) -> None:
        """Add `size` bytes of a file."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        reading = Reading(source, self._sent)
        self._tar.addfile(info, cast(IO[bytes], reading))
        self._entries[name] = Entry(reading.digest.hexdigest(), size)

    def add_file(self, name: str, path: Path) -> None:
        """Add a file as it is now."""
        with path.open("rb") as file:
            self.add(name, file, os.fstat(file.fileno()).st_size)

    def finish(self, manifest: Manifest) -> Manifest:
        """Add the manifest, its members filled in, and give the archive its place."""
        whole = replace(manifest, members=dict(self._entries))
        content = json.dumps(asdict(whole), indent=1).encode()
        self.add(MANIFEST, io.BytesIO(content), len(content))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._waiting.replace(self._path)
        return whole


@contextmanager
def entries(path: Path) -> Generator[Generator[tuple[str, IO[bytes], int]]]:
    """The members of an archive one after the other, each to be read before the next; raises StorageError.

    Nothing is unpacked here: a member is a name, its bytes and how many they are.
    """
    try:
        with tarfile.open(path, "r|*") as tar:
            yield _members(tar)
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise StorageError(f"{path} is no whole archive made by `stillhouse backup`: {error}.") from error


def check_archive(path: Path, read: Callable[[str, bytes], None] = lambda name, piece: None) -> Manifest:
    """Read an archive to its end and compare all with its manifest; raises StorageError, UsageError.

    `read` is told every member piece by piece, and an empty piece at its end.
    """
    found: dict[str, Entry] = {}
    manifest = None
    with entries(path) as members:
        for name, source, size in members:
            if name == MANIFEST:
                manifest = _read_manifest(path, source.read(64 * PIECE))
                continue
            digest = hashlib.sha256()
            while piece := source.read(PIECE):
                digest.update(piece)
                read(name, piece)
            read(name, b"")
            found[name] = Entry(digest.hexdigest(), size)
    if manifest is None:
        raise StorageError(f"{path} has no manifest at its end: it is cut off, or no backup of Stillhouse.")
    wrong = sorted(name for name in {*found, *manifest.members} if found.get(name) != manifest.members.get(name))
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise StorageError(f"{path} is damaged: {', '.join(wrong[:3])}{more} are not what the manifest says.")
    return manifest


@final
class Reading:
    """A file that is hashed as it is read."""

    def __init__(self, source: IO[bytes], sent: Callable[[int], None]) -> None:
        self.digest = hashlib.sha256()
        self._source, self._sent = source, sent

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self.digest.update(data)
        self._sent(len(data))
        return data


def _members(tar: tarfile.TarFile) -> Generator[tuple[str, IO[bytes], int]]:
    for info in tar:
        source = tar.extractfile(info) if info.isreg() else None
        if source is None or not NAME.fullmatch(info.name):
            raise StorageError(f"The archive has a member {info.name[:80]!r}, which no backup of Stillhouse has.")
        yield info.name, source, info.size


def _read_manifest(path: Path, content: bytes) -> Manifest:
    try:
        told: dict[str, Any] = json.loads(content)
        if told["format"] != FORMAT:
            raise StorageError(f"{path} is of format {told['format']}: a newer Stillhouse wrote it. Use that one.")
        members = {name: Entry(entry["sha256"], entry["bytes"]) for name, entry in told.pop("members").items()}
        return Manifest(**told, members=members)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"The manifest of {path} cannot be read: {error}.") from error
