"""Sensitivity: which nodes of a graph lose most when they have fewer bits, and leaving the worst ones as they were."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import numpy as np

from stillhouse.compression.calibrate import Samples, open_session
from stillhouse.compression.graphs import bytes_of, weighted
from stillhouse.compression.quantize import Prepared, prepare, write
from stillhouse.compression.scheme import Scheme
from stillhouse.errors import UsageError

__all__ = ["Loss", "Mixed", "output_error", "quantize_within", "sensitivity"]


@final
@dataclass(frozen=True)
class Loss:
    """What one node costs when it alone has fewer bits."""

    node: str
    operator: str
    numbers: int
    """How many weights it has."""
    error: float
    """By how much the graph's answers change, as a share of their size: ||y - y'|| / ||y||."""


@final
@dataclass(frozen=True)
class Mixed:
    """A graph of which some nodes kept their bits."""

    kept: tuple[str, ...]
    error: float
    """By how much its answers differ from the float graph's, as a share of their size."""
    size: int
    """Its bytes."""
    losses: tuple[Loss, ...]
    """What each node costs alone, the worst first; empty where none had to keep its bits."""


def sensitivity(source: Path, scheme: Scheme, samples: Samples) -> tuple[Loss, ...]:
    """What each node with weights costs when it alone has the bits of `scheme`, the worst first.

    The graph's first output is compared with that of the float graph on all samples.
    """
    prepared = prepare(source, scheme, samples)
    with _trials(source, prepared, scheme, samples) as trials:
        return trials.losses()


def quantize_within(source: Path, target: Path, scheme: Scheme, samples: Samples, tolerance: float) -> Mixed:
    """Write `source` to `target` in the form of `scheme`, as many nodes left as they are as `tolerance` takes.

    `tolerance` is how far answers may move on the samples: ||y - y'|| / ||y||. Where the whole graph is beyond it, the
    nodes that cost most for their size keep their bits: the first k by error² per weight, k found by halving.
    """
    if not tolerance > 0:
        raise UsageError(f"The tolerance is a share above 0, such as 0.02; it is {tolerance}.")
    prepared = prepare(source, scheme, samples)
    with _trials(source, prepared, scheme, samples) as trials:
        error = trials.error(scheme.keep)
        if error <= tolerance:
            write(prepared, target, scheme)
            return Mixed(scheme.keep, error, bytes_of(target), ())
        losses = trials.losses()
        order = [loss.node for loss in sorted(losses, key=lambda loss: -(loss.error**2) / loss.numbers)]
        low, high = 0, len(order)  # of the first `low` it is known that they are too few, of `high` that they do
        error = trials.error((*scheme.keep, *order))
        if error > tolerance:
            raise UsageError(
                f"Even with every node left as it was, answers differ by {error:.2g} of their size, above the "
                f"tolerance of {tolerance:.2g}. Give a larger one."
            )
        while high - low > 1:
            middle = (low + high) // 2
            found = trials.error((*scheme.keep, *order[:middle]))
            if found <= tolerance:
                high, error = middle, found
            else:
                low = middle
        kept = (*scheme.keep, *order[:high])
        write(prepared, target, replace(scheme, keep=kept))
        return Mixed(kept, error, bytes_of(target), losses)


def output_error(reference: Path, other: Path, samples: Samples) -> float:
    """By how much the first output of `other` differs from that of `reference` on samples: ||y - y'|| / ||y||."""
    with TemporaryDirectory() as name:
        _keep_answers(reference, samples, Path(name))
        return _error(other, samples, Path(name))


@final
@dataclass(frozen=True)
class _Trials:
    prepared: Prepared
    scheme: Scheme
    samples: Samples
    folder: Path

    def error(self, kept: tuple[str, ...]) -> float:
        trial = self.folder / "trial.onnx"
        write(self.prepared, trial, replace(self.scheme, keep=kept))
        return _error(trial, self.samples, self.folder)

    def losses(self) -> tuple[Loss, ...]:
        nodes = [name for name in self.prepared.nodes if name not in self.scheme.keep]
        held = weighted(self.prepared.model, {node.op_type for node in self.prepared.model.graph.node})
        kinds = {node.name: node.op_type for node in self.prepared.model.graph.node}
        found = []
        for name in nodes:
            others = tuple(other for other in self.prepared.nodes if other != name)
            found.append(Loss(name, kinds[name], int(np.prod(held[name].dims)), self.error(others)))
        return tuple(sorted(found, key=lambda loss: -loss.error))


@contextmanager
def _trials(source: Path, prepared: Prepared, scheme: Scheme, samples: Samples) -> Generator[_Trials]:
    """What the float graph answers is kept on the disk, as answers over a vocabulary are large."""
    with TemporaryDirectory() as name:
        _keep_answers(source, samples, Path(name))
        yield _Trials(prepared, scheme, samples, Path(name))


def _keep_answers(graph: Path, samples: Samples, folder: Path) -> None:
    session = open_session(graph)
    for place, outputs in enumerate(samples.run(session, [session.get_outputs()[0].name])):
        np.save(folder / f"{place}.npy", outputs[0])


def _error(graph: Path, samples: Samples, folder: Path) -> float:
    """||y - y'|| / ||y|| over all samples, of the answers in `folder` and those of `graph`."""
    session = open_session(graph)
    lost = size = 0.0
    for place, outputs in enumerate(samples.run(session, [session.get_outputs()[0].name])):
        expected = np.load(folder / f"{place}.npy").astype(np.float64)
        lost += float(np.square(expected - outputs[0]).sum())
        size += float(np.square(expected).sum())
    return float(np.sqrt(lost / size)) if size else float(lost > 0)
