"""ShardFile: one finished file of signals, mapped into memory, and how its pieces are written."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import SignalError
from stillhouse.signals.entries import EntryCoder
from stillhouse.signals.frames import Frame, append_frame, read_frame

__all__ = ["END", "FORMAT", "TRAILER", "Block", "ShardFile", "compare_heads", "read_coder", "sample_key", "write_coder"]

FORMAT = 1
END = b"SHend1\0\0"
TRAILER = struct.Struct("<Q8s")
"""The last bytes of a finished file: where its index starts."""


@final
class Block:
    """The samples of one commit, in a mapped file."""

    def __init__(self, frame: Frame, data: npt.NDArray[np.uint8], widths: Mapping[str, int]) -> None:
        self.samples: Sequence[str] = frame.said["samples"]
        self._frame, self._data = frame, data
        lengths = {"records": frame.said["lengths"]}
        lengths |= {f"extra {name}": np.array(rows) * widths[name] * 2 for name, rows in frame.said["rows"].items()}
        self._ends = {name: np.cumsum(sizes) for name, sizes in lengths.items()}
        self._read: dict[str, npt.NDArray[np.uint8]] = {}

    def record(self, number: int) -> npt.NDArray[np.uint8]:
        """The bytes of a sample's signal."""
        return self._part("records", number)

    def extra(self, name: str, number: int) -> npt.NDArray[np.uint8]:
        """The bytes of a sample's extra."""
        return self._part(f"extra {name}", number)

    def _part(self, section: str, number: int) -> npt.NDArray[np.uint8]:
        if section not in self._read:
            self._read[section] = self._frame.sections[section].read(self._data)
        ends = self._ends[section]
        return self._read[section][ends[number - 1] if number else 0 : ends[number]]


@final
class ShardFile:
    """One finished file, mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mapped = path.stat().st_size >= TRAILER.size
        self._data = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray) if mapped else np.zeros(0, dtype="u1")
        head = read_frame(self._data, 0)
        if head is None:
            raise SignalError(f"{path} is no shard of signals.")
        start, end = TRAILER.unpack_from(self._data.data, len(self._data) - TRAILER.size)
        index = read_frame(self._data, start) if end == END else None
        if index is None:
            raise SignalError(f"{path} is cut short or damaged. Copy it again, or delete it and label again.")
        self.head = head.said
        if self.head.get("format") != FORMAT:
            raise SignalError(f"{path} has format {self.head.get('format')}; this version reads {FORMAT}.")
        parts = {name: section.read(self._data) for name, section in index.sections.items()}
        self._keys, self._starts = parts["keys"].view("<u8"), parts["starts"].view("<u8")
        self._places = parts["places"].view("<u4").reshape(-1, 2)
        self._blocks: dict[int, Block] = {}
        coder = read_frame(self._data, head.end) if len(self._keys) else None
        self._coder = None if coder is None else read_coder(coder, self._data)

    @property
    def count(self) -> int:
        return len(self._keys)

    @property
    def coder(self) -> EntryCoder:
        """What its samples were coded with."""
        if self._coder is None:
            raise SignalError(f"{self.path} has no samples, or lost how they were coded.")
        return self._coder

    def blocks(self) -> Iterator[Block]:
        """The blocks in the order they were written."""
        return (self._block(number) for number in range(len(self._starts)))

    def find(self, sample: str) -> tuple[Block, int] | None:
        """The block of a sample and its number there; None when it is not here."""
        key = sample_key(sample)
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        while at < len(self._keys) and int(self._keys[at]) == key:
            number, place = self._places[at].tolist()
            block = self._block(number)
            if block.samples[place] == sample:
                return block, place
            at += 1
        return None

    def _block(self, number: int) -> Block:
        if number not in self._blocks:
            frame = read_frame(self._data, int(self._starts[number]))
            if frame is None:
                raise SignalError(f"{self.path} is damaged at byte {int(self._starts[number]):,}.")
            self._blocks[number] = Block(frame, self._data, self.head["widths"])
        return self._blocks[number]


def sample_key(sample: str) -> int:
    """Eight bytes of the id's hash, by which the index is sorted."""
    return int.from_bytes(hashlib.blake2b(sample.encode(), digest_size=8).digest(), "little")


def write_coder(file: RawIOBase, coder: EntryCoder) -> None:
    """Append a frame with what the coder learnt."""
    append_frame(file, {"coder": len(coder.order)}, list(coder.pack().items()))


def read_coder(frame: Frame, data: npt.NDArray[np.uint8]) -> EntryCoder:
    """The coder that such a frame holds."""
    parts = {name: section.read(data) for name, section in frame.sections.items()}
    return EntryCoder.unpack(frame.said["coder"], parts)


def compare_heads(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a file whose head differs; SignalError names the first thing that does."""
    for name, value in wanted.items():
        if found.get(name) != value:
            raise SignalError(f"{path} has {name} {found.get(name)!r}, not {value!r}. Use another folder for that.")
