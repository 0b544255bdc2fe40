"""Codecs: what a teacher told about a sample, in tens of bytes per token, and many samples back at once."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import SignalError, UsageError
from stillhouse.signals.entries import MOST_IDS, MOST_VALUES, Entries, EntryCoder, Streams
from stillhouse.signals.levels import Levels, decode_tails, encode_tails
from stillhouse.signals.told import Sampled, Signal, TopK

__all__ = [
    "Codec",
    "NoScores",
    "Prepared",
    "SampledCodec",
    "TopKCodec",
    "codec_of",
    "decode_samples",
    "encode_samples",
]

Asides = npt.NDArray[np.uint16]

_HEAD = struct.Struct("<IIHBx")
"""Positions, how many of them were told, the fewest bytes of one, and how the rest is written."""
_ALL_TOLD, _ALL_FULL, _LONG = 1, 2, 4
"""Every position was told; every told one has the most entries; lengths take two bytes, not one."""


_MOST_MASS = 1.02
"""More than one by what bfloat16 rounds."""


class Codec(ABC):
    """How the signals of one form become entries with a bounded loss, and back."""

    vocabulary: int
    """Ids are below this."""

    @property
    @abstractmethod
    def most(self) -> int:
        """The most entries of a position."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The largest number that an entry can have."""

    @property
    @abstractmethod
    def asides(self) -> int:
        """How many two-byte numbers a position has beside its entries."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Its settings as JSON, from which `codec_of` makes it again."""

    @abstractmethod
    def enter(self, signal: Signal) -> tuple[Entries, Asides]:
        """Entries `[positions, at most most]` and what stands beside them `[positions, asides]`."""

    @abstractmethod
    def tell(self, entries: Entries, asides: Asides) -> Signal:
        """The signal that entries stand for, as wide as they are."""

    def prepare(self, signal: Signal) -> Prepared:
        """One sample's signal `[positions, ...]`, checked and rounded; SignalError says what cannot be kept."""
        ids, there = signal.ids, signal.there
        if ids.ndim != 2 or ids.shape != there.shape or ids.shape[1] > self.most:
            raise SignalError(f"A sample is [positions, at most {self.most}]; this one is {list(ids.shape)}.")
        wrong = there & ((ids < 0) | (ids >= self.vocabulary))
        if wrong.any():
            raise SignalError(f"Id {int(ids[wrong][0])} is not in the vocabulary of {self.vocabulary:,} tokens.")
        entries, asides = self.enter(signal)
        if (repeated := entries.repeated()) is not None:
            raise SignalError(f"A position names id {repeated} twice. Give each id of a position once.")
        told = np.asarray(there.any(axis=1))
        return Prepared(told, Entries(entries.keys[told]), asides[told])


@final
@dataclass(frozen=True, eq=False)
class Prepared:
    """A sample ready for the coder: which of its positions were told `[positions]`, and those alone."""

    told: npt.NDArray[np.bool_]
    entries: Entries
    asides: Asides


@final
@dataclass(frozen=True)
class TopKCodec(Codec):
    """The likeliest `k` tokens of each position, with the mass of all others at some temperatures.

    Log-probs are rounded to `levels`. The mass outside the k is kept for each temperature in two bytes, and log-probs
    are shifted as they are read so that both add up to one: log p_T(i) = level_i / T + c_T at every kept T.
    """

    vocabulary: int
    k: int = 50
    temperatures: tuple[float, ...] = (1.0, 2.0, 4.0)
    levels: Levels = field(default_factory=Levels)

    def __post_init__(self) -> None:
        _check_sizes(self.vocabulary, self.k)
        if 1.0 not in self.temperatures or min(self.temperatures) <= 0:
            raise UsageError(f"Temperatures are above 0 and 1 is one of them; they are {self.temperatures}.")

    @property
    def most(self) -> int:
        return self.k

    @property
    def largest(self) -> int:
        return self.levels.count - 1

    @property
    def asides(self) -> int:
        return len(self.temperatures)

    def describe(self) -> dict[str, Any]:
        """Its settings as JSON; an infinite root step is null."""
        return {
            "form": "top_k",
            "vocabulary": self.vocabulary,
            "k": self.k,
            "temperatures": list(self.temperatures),
            "step": self.levels.step,
            "root_step": self.levels.root_step if np.isfinite(self.levels.root_step) else None,
        }

    def enter(self, signal: Signal) -> tuple[Entries, Asides]:
        """Levels as numbers, and the mass outside the k at each temperature beside them."""
        if not isinstance(signal, TopK):
            raise SignalError("These signals are the likeliest k tokens; a sample of draws was given.")
        for heat in self.temperatures:
            most = float(np.exp(signal.at(heat), dtype=np.float64).sum(axis=-1).max(initial=0.0))
            if not most <= _MOST_MASS:
                raise SignalError(
                    f"At temperature {heat:g} the probabilities of a position add up to {most:.4g}. Give log-probs "
                    "over the whole vocabulary, z - lse(z), and lse(z) / T - lse(z / T) as shifts."
                )
        tails = np.stack([encode_tails(signal.tail(heat)) for heat in self.temperatures], axis=-1)
        return Entries.of(signal.ids, self.levels.encode(signal.log_probs), signal.there), tails

    def tell(self, entries: Entries, asides: Asides) -> TopK:
        """The log-probs, shifted so that they and the kept mass outside add up to one, and shifts that do the same."""
        places = entries.places
        held = decode_tails(asides)
        shifts = {
            heat: held[:, column] - np.log(np.einsum("pk->p", self._powers[heat].take(places)))
            for column, heat in enumerate(self.temperatures)
        }
        base = shifts.pop(1.0)
        log_probs = self._log_probs.take(places)
        log_probs += base.astype(np.float32)[:, None]
        shifted = {heat: (shift - base / heat).astype(np.float32) for heat, shift in shifts.items()}
        return TopK(entries.ids, log_probs, shifted)

    @cached_property
    def _log_probs(self) -> npt.NDArray[np.float32]:
        """The log-prob at each of the places of `Entries`; minus infinity where there is no entry."""
        table = np.full(MOST_VALUES + 1, -np.inf, dtype=np.float32)
        table[MOST_VALUES - self.levels.count : MOST_VALUES] = self.levels.log_probs[::-1]
        return table

    @cached_property
    def _powers(self) -> Mapping[float, npt.NDArray[np.float32]]:
        """p^(1/T) at each place, by temperature."""
        return {heat: np.exp(self._log_probs / np.float32(heat)) for heat in self.temperatures}


@final
@dataclass(frozen=True)
class SampledCodec(Codec):
    """Draws with replacement from each position's distribution: ids and counts, without loss."""

    vocabulary: int
    draws: int = 50

    def __post_init__(self) -> None:
        _check_sizes(self.vocabulary, self.draws)

    @property
    def most(self) -> int:
        return self.draws

    @property
    def largest(self) -> int:
        return self.draws

    @property
    def asides(self) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {"form": "sampled", "vocabulary": self.vocabulary, "draws": self.draws}

    def enter(self, signal: Signal) -> tuple[Entries, Asides]:
        """Counts as numbers, nothing beside them."""
        if not isinstance(signal, Sampled):
            raise SignalError("These signals are draws; the likeliest k tokens were given.")
        most = int(signal.counts.sum(axis=-1).max(initial=0))
        if most > self.draws:
            raise SignalError(f"A position has {most} draws; these signals were made for {self.draws}.")
        entries = Entries.of(signal.ids, signal.counts, signal.there)
        return entries, np.zeros((len(entries), 0), dtype=np.uint16)

    def tell(self, entries: Entries, asides: Asides) -> Sampled:
        return Sampled(entries.ids, np.maximum(entries.values, 0))


@final
@dataclass(frozen=True)
class NoScores(Codec):
    """No position is told of: for samples of which only what lies beside the scores is kept."""

    vocabulary: int = field(default=2, init=False)

    @property
    def most(self) -> int:
        return 1

    @property
    def largest(self) -> int:
        return 1

    @property
    def asides(self) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {"form": "none"}

    def enter(self, signal: Signal) -> tuple[Entries, Asides]:
        """Nothing; a signal with positions is refused."""
        if len(signal.ids):
            raise SignalError("These signals hold no scores, and a sample with scores was given.")
        return Entries.of(signal.ids, signal.ids, signal.there), np.zeros((0, 0), dtype=np.uint16)

    def tell(self, entries: Entries, asides: Asides) -> Sampled:
        return Sampled(entries.ids, np.maximum(entries.values, 0))


def codec_of(described: Mapping[str, Any]) -> Codec:
    """The codec that `describe` described."""
    if described["form"] == "none":
        return NoScores()
    if described["form"] == "sampled":
        return SampledCodec(described["vocabulary"], described["draws"])
    if described["form"] != "top_k":
        raise SignalError(f"Signals of the form {described['form']!r} are not known to this version.")
    root_step = described["root_step"]
    levels = Levels(described["step"], np.inf if root_step is None else root_step)
    return TopKCodec(described["vocabulary"], described["k"], tuple(described["temperatures"]), levels)


def encode_samples(codec: Codec, coder: EntryCoder, samples: Sequence[Prepared]) -> list[bytes]:
    """The bytes of each sample: its head, what was told and how much, lengths, asides, and the coded positions."""
    streams = coder.encode(Entries.stack([sample.entries for sample in samples]))
    offsets = np.concatenate([[0], np.cumsum(streams.lengths)])
    records: list[bytes] = []
    start = 0
    for sample in samples:
        stop = start + len(sample.entries)
        own = Streams(streams.data[offsets[start] : offsets[stop]], streams.lengths[start:stop])
        records.append(_write(codec, sample, own))
        start = stop
    return records


def _write(codec: Codec, sample: Prepared, own: Streams) -> bytes:
    counts = sample.entries.there.sum(axis=1)
    fewest = int(own.lengths.min(initial=65535))
    long = own.lengths.max(initial=0) - fewest > 255
    flags = _ALL_TOLD * bool(sample.told.all()) | _ALL_FULL * bool((counts == codec.most).all()) | _LONG * bool(long)
    parts = [_HEAD.pack(len(sample.told), len(counts), fewest, flags)]
    if not flags & _ALL_TOLD:
        parts.append(np.packbits(sample.told).tobytes())
    if not flags & _ALL_FULL:
        parts.append(counts.astype(_counts_type(codec)).tobytes())
    parts.append((own.lengths - fewest).astype("<u2" if long else "u1").tobytes())
    parts.append(sample.asides.astype("<u2").tobytes())
    return b"".join([*parts, own.data.tobytes()])


@dataclass(frozen=True, eq=False)
class _Record:
    """A sample's bytes, cut into their parts."""

    told: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.int64]
    asides: Asides
    streams: Streams


def _cut(codec: Codec, record: npt.NDArray[np.uint8]) -> _Record:
    positions, count, fewest, flags = _HEAD.unpack_from(record.data)
    at = _HEAD.size

    def take(items: int, kind: str) -> npt.NDArray[Any]:
        nonlocal at
        taken = np.frombuffer(record, kind, items, at)
        at += taken.nbytes
        return taken

    told = np.ones(positions, dtype=np.bool_)
    if not flags & _ALL_TOLD:
        told = np.unpackbits(take(-(-positions // 8), "u1"), count=positions).astype(np.bool_)
    full = bool(flags & _ALL_FULL)
    counts = np.full(count, codec.most) if full else take(count, _counts_type(codec)).astype(np.int64)
    lengths = take(count, "<u2" if flags & _LONG else "u1").astype(np.int64) + fewest
    asides = take(count * codec.asides, "<u2").reshape(count, codec.asides)
    return _Record(told, counts, asides, Streams(record[at:], lengths))


def _counts_type(codec: Codec) -> str:
    return "u1" if codec.most < 256 else "<u2"


def decode_samples(
    codec: Codec, records: Sequence[tuple[EntryCoder, npt.NDArray[np.uint8]]]
) -> tuple[Signal, npt.NDArray[np.bool_]]:
    """The signals of many samples `[rows, positions, entries]`, padded to the longest, and which were told.

    Each record comes with the coder that wrote it; those of one coder are decoded together.
    """
    cut = [_cut(codec, record) for _, record in records]
    told = np.zeros((len(cut), max((len(one.told) for one in cut), default=0)), dtype=np.bool_)
    for row, one in enumerate(cut):
        told[row, : len(one.told)] = one.told
    width = max((int(one.counts.max(initial=0)) for one in cut), default=0)
    coders = dict.fromkeys(coder for coder, _ in records)
    parts = {coder: [row for row, (its, _) in enumerate(records) if its is coder] for coder in coders}
    decoded = {coder: _decode(coder, [cut[row] for row in rows], width) for coder, rows in parts.items()}
    entries = next(iter(decoded.values())) if len(decoded) == 1 else _merge(cut, decoded, parts)
    asides = np.concatenate([np.zeros((0, codec.asides), dtype=np.uint16), *(one.asides for one in cut)])
    signal = codec.tell(entries, asides)
    return signal.spread(np.flatnonzero(told), told.shape), told


def _decode(coder: EntryCoder, cut: Sequence[_Record], width: int) -> Entries:
    streams = Streams.join([one.streams for one in cut])
    return coder.decode(streams, np.concatenate([one.counts for one in cut]), width)


def _merge(
    cut: Sequence[_Record], decoded: Mapping[EntryCoder, Entries], parts: Mapping[EntryCoder, Sequence[int]]
) -> Entries:
    """What several coders decoded, `parts` of the samples each, in the order of the samples."""
    found: dict[int, Entries] = {}
    for coder, rows in parts.items():
        keys = decoded[coder].keys
        for row in rows:
            positions = len(cut[row].counts)
            found[row], keys = Entries(keys[:positions]), keys[positions:]
    return Entries.stack([found[row] for row in range(len(cut))])


def _check_sizes(vocabulary: int, most: int) -> None:
    if not 2 <= vocabulary <= MOST_IDS:
        raise UsageError(f"A vocabulary has 2 to {MOST_IDS:,} tokens; this one has {vocabulary:,}.")
    if not 1 <= most < MOST_VALUES:
        raise UsageError(f"A position has 1 to {MOST_VALUES - 1:,} entries or draws, not {most:,}.")
