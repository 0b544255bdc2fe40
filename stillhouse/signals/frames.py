"""Frames: checksummed pieces of an append-only file; a torn end is told from damage in the middle."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import SignalError

__all__ = ["Frame", "Section", "append_frame", "read_frame", "read_frames", "sync_folder"]

_MAGIC = b"SHfr"
_HEAD = struct.Struct("<4sIQI")
"""Magic, bytes of the description, bytes of the sections, checksum of the description."""
_ALIGNED = 8

Data = npt.NDArray[np.uint8]


@final
@dataclass(frozen=True)
class Section:
    """Some bytes of a file and their checksum."""

    name: str
    start: int
    length: int
    checksum: int

    def read(self, data: Data) -> Data:
        """The bytes in a file's `data`, once their checksum has been compared; raises SignalError."""
        found = data[self.start : self.start + self.length]
        if zlib.crc32(found.data) != self.checksum:
            raise SignalError(f"Bytes {self.start:,} to {self.start + self.length:,} ({self.name}) are damaged.")
        return found


@final
@dataclass(frozen=True)
class Frame:
    """What a frame says, where its sections lie, and where it ends."""

    said: Mapping[str, Any]
    sections: Mapping[str, Section]
    end: int

    def intact(self, data: Data) -> bool:
        """Whether all of its sections are as they were written."""
        parts = [(data[part.start : part.start + part.length], part.checksum) for part in self.sections.values()]
        return all(zlib.crc32(found.data) == checksum for found, checksum in parts)


def append_frame(file: RawIOBase, said: Mapping[str, Any], sections: Sequence[tuple[str, bytes]]) -> int:
    """Write a frame at the end of an unbuffered file and wait until it is on the disk; returns where it starts.

    When it cannot be written whole, the file is as it was before.
    """
    start = file.seek(0, os.SEEK_END)
    table: list[tuple[str, int, int, int]] = []
    size = 0
    for name, content in sections:
        table.append((name, size, len(content), zlib.crc32(content)))
        size += _padded(len(content))
    description = json.dumps({"said": said, "sections": table}, ensure_ascii=False).encode()
    description += b" " * (_padded(_HEAD.size + len(description)) - _HEAD.size - len(description))
    try:
        _write(file, _HEAD.pack(_MAGIC, len(description), size, zlib.crc32(description)))
        _write(file, description)
        for _, content in sections:
            _write(file, content)
            _write(file, b"\0" * (_padded(len(content)) - len(content)))
        os.fsync(file.fileno())
    except OSError:  # a full disk: what follows must not come after half a frame
        file.truncate(start)
        raise
    return start


def read_frame(data: Data, start: int) -> Frame | None:
    """The frame that starts at a byte; None when none does, or when it reaches past the end."""
    body = start + _HEAD.size
    if body > len(data):
        return None
    magic, described, size, checksum = _HEAD.unpack_from(data.data, start)
    end = body + described + size
    description = data[body : body + described]
    if magic != _MAGIC or end > len(data) or zlib.crc32(description.data) != checksum:
        return None
    parsed = json.loads(description.tobytes())
    base = body + described
    sections = {name: Section(name, base + at, length, check) for name, at, length, check in parsed["sections"]}
    return Frame(parsed["said"], sections, end)


def read_frames(data: Data, place: Path) -> tuple[list[Frame], int]:
    """Every whole frame, and where the last of them ends; what follows that is a torn end.

    Raises SignalError when whole frames follow the tear: then it is none, and the file was damaged later.
    """
    frames: list[Frame] = []
    end = 0
    while (frame := read_frame(data, end)) is not None:
        frames.append(frame)
        end = frame.end
    if frames and not frames[-1].intact(data):
        end = frames[-2].end if len(frames) > 1 else 0
        frames.pop()
    content = data[end + 1 :].tobytes()
    at = content.find(_MAGIC)
    while at >= 0:
        if read_frame(data, end + 1 + at) is not None:
            raise SignalError(
                f"{place} is damaged at byte {end:,}, before whole frames. Delete it and write its samples again."
            )
        at = content.find(_MAGIC, at + 1)
    return frames, end


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write(file: RawIOBase, content: bytes) -> None:
    """Write all of it; an unbuffered file may take a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
