"""Cached: what a teacher told beforehand, read from shards of signals by the ids of the samples."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stillhouse.errors import SignalError
from stillhouse.models.outputs import Batch, Features, Layers, TeacherOutput
from stillhouse.models.scores import Sampled, TopK
from stillhouse.signals import told
from stillhouse.signals.codec import NoScores, SampledCodec
from stillhouse.signals.keep import EMBEDDING, hidden_name
from stillhouse.signals.kinds import Kind
from stillhouse.signals.shards import Read, ShardReader

__all__ = ["Cached"]


@final
class Cached:
    """A teacher that remembers. It answers at a small share of what asking it again would cost, and needs no memory.

    Signals are found by sample, never by step, so any order of rows, number of epochs and size of batch will do.
    """

    def __init__(self, reader: ShardReader, samples: Sequence[str], read_as: str | None = None) -> None:
        """`samples` is the id of every row of the dataset, as the signals were kept under.

        `read_as` is the hash of the rows as they were read then, where that is known.
        """
        self.read_as = read_as
        self._reader, self._samples = reader, samples
        self._scored = not isinstance(reader.codec, NoScores)
        kinds = {Kind.SOFT} if self._scored else set[Kind]()
        if self._scored and not isinstance(reader.codec, SampledCodec):
            kinds.add(Kind.TOP)
        if any(name.startswith(hidden_name(0)[:-1]) for name in reader.widths):
            kinds.add(Kind.HIDDEN)
        if EMBEDDING in reader.widths:
            kinds.add(Kind.EMBEDDING)
        self.tells = frozenset(kinds)

    @property
    def tokenizer(self) -> str | None:
        return self._reader.origin.tokenizer or None

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What was kept about the rows of a batch; SignalError where a sample is missing or has other positions."""
        names = {layer: hidden_name(layer) for layer in sorted(layers.hidden)}
        self.check(layers)
        rows: list[int] = batch.rows.tolist()
        samples = [self._samples[row] for row in rows]
        read = self._reader.read(samples, [*names.values(), *([EMBEDDING] if layers.embedding else [])])
        hidden = {layer: _states(read.extras[name], batch) for layer, name in names.items()}
        vectors = torch.from_numpy(read.extras[EMBEDDING][:, 0].astype(np.float32)) if layers.embedding else None
        scores, where = self._told(read, batch.labels.shape[1])
        return TeacherOutput(scores, where, Features(hidden, embedding=vectors)).to(batch.labels.device)

    def check(self, layers: Layers) -> None:
        """Refuse with SignalError what was not kept, before any sample is read."""
        held = self._reader.widths
        wanted = [*map(hidden_name, sorted(layers.hidden)), *([EMBEDDING] if layers.embedding else [])]
        missing = [name for name in wanted if name not in held]
        if missing:
            raise SignalError(
                f"These signals do not hold {missing[0]}, which the objective needs; beside scores they hold "
                f"{', '.join(held) or 'nothing'}."
            )
        if layers.attention or layers.heads:
            raise SignalError("Attention is not kept among signals; let the teacher answer beside the student.")

    def _told(self, read: Read, positions: int) -> tuple[TopK | Sampled | None, Tensor | None]:
        """Scores, and the positions `[rows, positions]` that they are of; neither where no scores were kept."""
        if not self._scored:
            return None, None
        if read.told[:, positions:].any():
            raise SignalError(
                f"Signals were kept for {read.told.shape[1]} positions and the batch has {positions}: {_OTHERWISE}"
            )
        return _scores(read, positions), _to_length(read.told, positions, False)


_OTHERWISE = (
    "samples were cut or tokenized otherwise when they were labelled. Label again with the settings of this run."
)


def _states(kept: npt.NDArray[np.float16], batch: Batch) -> Tensor:
    """A block's states `[rows, tokens, width]`, of texts as long as the batch; zero past a row's last token."""
    tokens = kept.shape[1]
    if "input_ids" in batch.inputs:
        tokens = batch.inputs["input_ids"].shape[1]
        if kept.shape[1] > tokens:
            raise SignalError(f"States were kept of {kept.shape[1]} tokens and the batch has {tokens}: {_OTHERWISE}")
    return _to_length(kept.astype(np.float32), tokens, 0)


def _scores(read: Read, positions: int) -> TopK | Sampled:
    """The signal as tensors `[rows, positions, k]`."""
    signal = read.signal
    ids = _to_length(signal.ids.astype(np.int64), positions, 0)
    if isinstance(signal, told.Sampled):
        return Sampled(ids, _to_length(signal.counts, positions, 0))
    shifts = {heat: _to_length(shift, positions, 0) for heat, shift in signal.shifts.items()}
    return TopK(ids, _to_length(signal.log_probs, positions, -np.inf), shifts)


def _to_length(values: npt.NDArray[Any], length: int, filling: float) -> Tensor:
    """`[rows, n, ...]` -> `[rows, length, ...]`."""
    kept = values[:, :length]
    missing = [(0, 0), (0, length - kept.shape[1])] + [(0, 0)] * (values.ndim - 2)
    return torch.from_numpy(np.pad(kept, missing, constant_values=filling))
