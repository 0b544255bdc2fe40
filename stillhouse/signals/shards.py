"""Shards: teacher signals on disk by sample, written in any order, resumed after a crash, read by many at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from io import FileIO
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import SignalError
from stillhouse.signals.codec import Codec, Prepared, codec_of, decode_samples, encode_samples
from stillhouse.signals.entries import Entries, EntryCoder
from stillhouse.signals.frames import append_frame, read_frames, sync_folder
from stillhouse.signals.shard_file import (
    END,
    FORMAT,
    TRAILER,
    Block,
    ShardFile,
    compare_heads,
    read_coder,
    sample_key,
    write_coder,
)
from stillhouse.signals.told import Signal

__all__ = ["Origin", "Read", "ShardReader", "ShardWriter"]

_COMMIT = 32768
"""After so many positions a writer commits by itself."""

Extras = Mapping[str, npt.NDArray[np.float16]]


@final
@dataclass(frozen=True)
class Origin:
    """What signals belong to: with the id of a sample it is their key."""

    dataset: str
    """The version of the dataset, by its hash."""
    teacher: str
    """The hash of the teacher and of how it was asked."""
    tokenizer: str
    """The hash of the tokenizer whose ids the signals hold."""


@final
@dataclass(frozen=True, eq=False)
class Read:
    """Samples as they were read, padded to the longest: the signal, and which positions were told `[rows, positions]`.

    `extras` are `[rows, most positions, width]` in float16, zero past a sample's last.
    """

    signal: Signal
    told: npt.NDArray[np.bool_]
    extras: Extras = field(default_factory=lambda: MappingProxyType({}))


@final
class ShardWriter:
    """Writes one shard, `<name>.part` until `finish` makes it `<name>.shard`; several writers may share a folder.

    A commit is on the disk when it returns, and what was committed survives the process. Opened again, the writer
    goes on after the last commit; `in` tells which samples it already has. The first commit's positions decide how
    ids are coded, so commit some thousands at first.
    """

    def __init__(
        self, folder: Path, name: str, origin: Origin, codec: Codec, widths: Mapping[str, int] | None = None
    ) -> None:
        self.codec = codec
        self._finished, self._part = folder / f"{name}.shard", folder / f"{name}.part"
        if self._finished.exists():
            raise SignalError(f"{self._finished} is finished. Choose another name for what is still to be written.")
        folder.mkdir(parents=True, exist_ok=True)
        self._widths = dict(widths or {})
        self._coder: EntryCoder | None = None
        self._blocks: list[int] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._pending: dict[str, tuple[Prepared, Mapping[str, npt.NDArray[np.float16]]]] = {}
        self._waiting = 0
        self._file = _open_alone(self._part)
        try:
            head = {"format": FORMAT, **asdict(origin), "codec": codec.describe(), "widths": self._widths}
            self.cut = self._resume(head)
            """How many bytes of an unfinished commit were found and cut off."""
        except BaseException:
            self._file.close()
            raise

    def _resume(self, head: dict[str, Any]) -> int:
        """Read what was committed and cut off what was not; returns how many bytes that were."""
        size = self._part.stat().st_size
        data = np.memmap(self._part, dtype=np.uint8, mode="r") if size else np.zeros(0, dtype=np.uint8)
        frames, end = read_frames(data, self._part)
        if not frames:
            self._file.truncate(0)
            append_frame(self._file, head, [])
            sync_folder(self._part.parent)
            return size
        compare_heads(self._part, frames[0].said, head)
        start = frames[0].end
        for frame in frames[1:]:
            if "index" in frame.said:  # the process ended between the index and the new name
                end = start
                break
            if "coder" in frame.said:
                self._coder = read_coder(frame, data)
            else:
                self._enlist(frame.said["samples"], start)
            start = frame.end
        self._file.truncate(end)
        return size - end

    def _enlist(self, samples: Sequence[str], start: int) -> None:
        self._places |= {sample: (len(self._blocks), number) for number, sample in enumerate(samples)}
        self._blocks.append(start)

    def __contains__(self, sample: str) -> bool:
        return sample in self._pending or sample in self._places

    def __len__(self) -> int:
        return len(self._pending) + len(self._places)

    def append(self, sample: str, signal: Signal, extras: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        """Keep what was told about a sample, `[positions, entries]`; on the disk with the next commit.

        `extras` has an array `[any, width]` for each of the writer's widths. Raises SignalError for a sample that
        is already here, and for what the codec or float16 cannot hold.
        """
        if sample in self:
            raise SignalError(f"Sample {sample!r} is already in {self._part}. Skip samples that are `in` the writer.")
        prepared, halves = self.codec.prepare(signal), _halves(extras or {}, self._widths)
        self._pending[sample] = (prepared, halves)
        self._waiting += max([len(prepared.told), *map(len, halves.values())])
        if self._waiting >= _COMMIT:
            self.commit()

    def commit(self) -> None:
        """Write what is pending and wait until it is on the disk."""
        if not self._pending:
            return
        samples = list(self._pending)
        prepared = [self._pending[sample][0] for sample in samples]
        if self._coder is None:
            seen = Entries.stack([sample.entries for sample in prepared])
            self._coder = EntryCoder.fit(seen, self.codec.vocabulary, self.codec.largest)
            write_coder(self._file, self._coder)
        records = encode_samples(self.codec, self._coder, prepared)
        said: dict[str, Any] = {"samples": samples, "lengths": [len(record) for record in records], "rows": {}}
        sections: list[tuple[str, bytes]] = [("records", b"".join(records))]
        for name in self._widths:
            extras = [self._pending[sample][1][name] for sample in samples]
            said["rows"][name] = [len(extra) for extra in extras]
            sections.append((f"extra {name}", b"".join(extra.tobytes() for extra in extras)))
        self._enlist(samples, append_frame(self._file, said, sections))
        self._pending.clear()
        self._waiting = 0

    def finish(self) -> Path:
        """Commit, write the index, and give the shard its final name; readers see all of it or nothing."""
        self.commit()
        keys = np.array([sample_key(sample) for sample in self._places], dtype="<u8")
        order = np.argsort(keys)
        places = np.array(list(self._places.values()), dtype="<u4").reshape(-1, 2)[order]
        starts = np.array(self._blocks, dtype="<u8")
        index = append_frame(
            self._file,
            {"index": len(keys)},
            [("keys", keys[order].tobytes()), ("places", places.tobytes()), ("starts", starts.tobytes())],
        )
        self._file.write(TRAILER.pack(index, END))
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._finished)
        sync_folder(self._finished.parent)
        return self._finished

    def close(self) -> None:
        """Commit and let go of the file; another writer may go on from here."""
        if not self._file.closed:
            self.commit()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Close; what is pending when an error passes through is committed too: it was told and checked."""
        self.close()


@final
class ShardReader:
    """Reads the finished shards of a folder, by the ids of samples; any number of processes may read at once.

    Told what is expected, it refuses signals of another dataset version, teacher or tokenizer. Files are mapped, not
    read; each block's checksum is compared when it is first needed.
    """

    def __init__(
        self, folder: Path, *, dataset: str | None = None, teacher: str | None = None, tokenizer: str | None = None
    ) -> None:
        paths = sorted(folder.glob("*.shard"))
        if not paths:
            parts = len(list(folder.glob("*.part")))
            raise SignalError(f"{folder} has no finished shards, and {parts} unfinished ones. Finish labelling first.")
        self._shards = [ShardFile(path) for path in paths]
        head = self._shards[0].head
        for shard in self._shards:
            compare_heads(shard.path, shard.head, head)
        self.origin = Origin(**{part.name: head[part.name] for part in fields(Origin)})
        for name, expected in (("dataset", dataset), ("teacher", teacher), ("tokenizer", tokenizer)):
            if expected is not None and expected != head[name]:
                raise SignalError(
                    f"The signals in {folder} are of {name} {head[name]}, not of {expected}. Label again, or give "
                    f"the {name} they were made with."
                )
        self.codec = codec_of(head["codec"])
        self.widths: Mapping[str, int] = MappingProxyType(head["widths"])

    def __len__(self) -> int:
        return sum(shard.count for shard in self._shards)

    def __contains__(self, sample: str) -> bool:
        return any(shard.find(sample) is not None for shard in self._shards)

    def samples(self) -> Iterator[str]:
        """The ids of all samples, in the order they were written."""
        return (sample for shard in self._shards for block in shard.blocks() for sample in block.samples)

    def read(self, samples: Sequence[str], extras: Sequence[str] = ()) -> Read:
        """Samples by id, in the order asked for, and the named extras; SignalError names what is missing."""
        places = [self._place(sample) for sample in samples]
        missing = [sample for sample, place in zip(samples, places, strict=True) if place is None]
        if missing:
            raise SignalError(f"{len(missing)} of {len(samples)} samples have no signals; the first is {missing[0]!r}.")
        found = [place for place in places if place is not None]
        unknown = sorted(set(extras) - set(self.widths))
        if unknown:
            raise SignalError(f"No extra is named {unknown[0]!r}; there are {', '.join(self.widths) or 'none'}.")
        signal, told = decode_samples(self.codec, [(shard.coder, block.record(n)) for shard, block, n in found])
        return Read(
            signal, told, {name: self._extra(name, [block.extra(name, n) for _, block, n in found]) for name in extras}
        )

    def _place(self, sample: str) -> tuple[ShardFile, Block, int] | None:
        for shard in self._shards:
            if (place := shard.find(sample)) is not None:
                return shard, *place
        return None

    def _extra(self, name: str, parts: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float16]:
        rows = [part.view("<f2").reshape(-1, self.widths[name]) for part in parts]
        out = np.zeros((len(rows), max(map(len, rows), default=0), self.widths[name]), dtype=np.float16)
        for at, row in enumerate(rows):
            out[at, : len(row)] = row
        return out


def _open_alone(path: Path) -> FileIO:
    """Open a file for reading and appending, and keep other processes from doing the same."""
    file = path.open("a+b", buffering=0)
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise SignalError(f"Another process is writing {path}. Give each writer a name of its own.") from error
    return file


def _halves(extras: Mapping[str, npt.NDArray[Any]], widths: Mapping[str, int]) -> Extras:
    """Extras as float16; raises SignalError for other names or widths, and for what float16 cannot hold."""
    if extras.keys() != widths.keys():
        raise SignalError(f"This shard keeps the extras {sorted(widths)}; a sample came with {sorted(extras)}.")
    halves: dict[str, npt.NDArray[np.float16]] = {}
    for name, values in extras.items():
        if values.ndim != 2 or values.shape[1] != widths[name]:
            raise SignalError(f"The extra {name} is [any, {widths[name]}]; this one is {list(values.shape)}.")
        with np.errstate(over="ignore"):
            halves[name] = values.astype("<f2")
        if not np.isfinite(halves[name]).all():
            raise SignalError(f"The extra {name} has values that float16 cannot hold, above 65,504 or not numbers.")
    return halves
