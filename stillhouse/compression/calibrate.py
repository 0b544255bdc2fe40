"""Calibration: the range that each activation of a graph takes on real samples, one batch in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper

from stillhouse.compression.scheme import Method
from stillhouse.errors import UsageError

__all__ = ["Feed", "Ranges", "Samples", "find_ranges", "open_session"]

Feed = Mapping[str, npt.NDArray[Any]]
"""The inputs of one pass, by name."""
Ranges = dict[str, tuple[float, float]]
BINS = 2048
LEVELS = 256
"""Steps of 8 bits; half as many lie on either side of zero."""
_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(bool)": np.bool_,
}


def open_session(model: onnx.ModelProto | Path, plain: bool = False) -> Any:
    """A graph to be run on one thread, whose numbers do not depend on the machine's cores; `plain`: not optimised."""
    runtime = cast("Any", onnxruntime)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if plain:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@final
class Samples:
    """Real inputs of a graph, batch by batch, to be read several times.

    `feeds` may be a list, or anything that reads batches from a disk whenever it is iterated over.
    """

    def __init__(self, feeds: Iterable[Feed]) -> None:
        if isinstance(feeds, Iterator):
            raise UsageError(
                "Calibration reads its samples more than once, and these can be read only once: give a list, or an "
                "object that begins anew whenever it is iterated over."
            )
        self._feeds = feeds

    def __iter__(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        seen = False
        for feed in self._feeds:
            seen = True
            yield dict(feed)
        if not seen:
            raise UsageError("There are no calibration samples. Give some inputs of the task that the student learnt.")

    def run(self, session: Any, outputs: Sequence[str] | None = None) -> Iterator[list[Any]]:
        """What `session` gives for each batch; raises UsageError where samples are those of another task."""
        for feed in self:
            _check(session, feed)
            try:
                found = session.run(outputs, feed)
            except Exception as error:  # the runtime's own errors share no class
                raise UsageError(
                    f"The calibration samples fit the graph's inputs, but it cannot be run on them: "
                    f"{str(error).splitlines()[0]} Give samples made by the student's own tokenizer or processor."
                ) from error
            yield list(found)


def _check(session: Any, feed: Feed) -> None:
    """Raise UsageError where a batch is not what a graph takes: names, number types, axes."""
    wanted = {given.name: given for given in session.get_inputs()}
    sizes: dict[str, int] = {}
    fits = feed.keys() == wanted.keys()
    for name in feed.keys() & wanted.keys():
        shape, values = wanted[name].shape, feed[name]
        kind = _TYPES.get(wanted[name].type)
        fits &= len(shape) == values.ndim and (kind is None or values.dtype == kind)
        for axis, size in zip(shape, values.shape, strict=False):
            expected = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
            fits &= expected is None or expected == size
    if not fits:
        takes = ", ".join(_describe(one.name, one.type[7:-1], one.shape) for one in wanted.values())
        given = ", ".join(_describe(name, str(values.dtype), values.shape) for name, values in feed.items())
        raise UsageError(
            f"The calibration samples belong to another task: the graph takes {takes}, and they are "
            f"{given or 'empty'}. Give inputs of the task that the student learnt."
        )


def _describe(name: str, kind: str, shape: Sequence[Any]) -> str:
    return f"{name} {kind} [{', '.join(map(str, shape))}]"


def find_ranges(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    samples: Samples,
    method: Method = "min-max",
    percentile: float = 99.99,
) -> Ranges:
    """The range of each of `tensors` on the samples.

    - `min-max`: from the smallest to the largest value seen.
    - `percentile`: leaves out 100 - `percentile` percent of the values on each side.
    - `entropy`: [-T, T], within what was seen, with the T at which the histogram of |x| loses the least information
      when it is cut at T and has 128 steps, or 256 where all is of one sign: min over T of KL(P || Q) (Migacz, 8-bit
      inference with TensorRT, 2017). Zeros, which integers hold exactly, do not count.

    The samples are read once to find the smallest and largest values and, but for `min-max`, again to count values in
    2,048 bins between them; no more than one batch's activations are held.
    """
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    there = {output.name for output in graph.graph.output}
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors if name not in there)
    session = open_session(graph, plain=True)
    limits = _limits(session, tensors, samples)
    if method == "min-max" or not tensors:
        return limits
    counts = _count(session, limits, samples, around_zero=method == "entropy")
    if method == "percentile":
        return {name: _percentile(counts[name], limits[name], percentile / 100) for name in tensors}
    return {name: _entropy(counts[name], limits[name]) for name in tensors}


def _limits(session: Any, tensors: Sequence[str], samples: Samples) -> Ranges:
    found: Ranges = {}
    for outputs in samples.run(session, list(tensors) or None):
        for name, values in zip(tensors, outputs, strict=bool(tensors)):
            if not values.size:
                continue
            low, high = float(values.min()), float(values.max())
            if not np.isfinite([low, high]).all():
                raise UsageError(
                    f"The activation {name!r} is not finite on the calibration samples, so it has no range. Look at "
                    "the samples (are they normalised as in training?) and at the student's weights."
                )
            before = found.get(name, (low, high))
            found[name] = min(before[0], low), max(before[1], high)
    return {name: found.get(name, (0.0, 0.0)) for name in tensors}


def _count(session: Any, limits: Ranges, samples: Samples, around_zero: bool) -> dict[str, npt.NDArray[np.int64]]:
    """How many values fall into each bin between the limits, or of their sizes between zero and the largest."""
    tensors = list(limits)
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in tensors}
    for outputs in samples.run(session, tensors):
        for name, values in zip(tensors, outputs, strict=True):
            low, high = limits[name]
            given = np.abs(values[values != 0]) if around_zero else values
            span = (0.0, max(-low, high)) if around_zero else (low, high)
            counts[name] += np.histogram(given, bins=BINS, range=span)[0]
    return counts


def _percentile(counts: npt.NDArray[np.int64], limits: tuple[float, float], share: float) -> tuple[float, float]:
    """The values below which 1 - `share` and `share` of all lie; within a bin they are taken as evenly spread."""
    edges = np.linspace(*limits, BINS + 1)
    below = np.concatenate([[0.0], np.cumsum(counts) / max(1, counts.sum())])
    low, high = np.interp([1 - share, share], below, edges)
    return float(low), float(high)


def _entropy(counts: npt.NDArray[np.int64], limits: tuple[float, float]) -> tuple[float, float]:
    """The T with the least KL(P || Q), where P is all of the histogram and Q what even steps up to T make of it."""
    largest = max(-limits[0], limits[1])
    steps = LEVELS // 2 if limits[0] < 0 < limits[1] else LEVELS
    sizes = range(steps, BINS + 1, 16)
    lost = [_divergence(counts, size, steps) for size in sizes] if counts.any() else [0.0]
    threshold = largest * sizes[int(np.argmin(lost))] / BINS if counts.any() else largest
    return max(limits[0], -threshold), min(limits[1], threshold)


def _divergence(counts: npt.NDArray[np.int64], size: int, steps: int) -> float:
    """KL(P || Q): P, the first `size` bins with all that lies beyond in the last; Q, their counts in even `steps`.

    Within a step, Q spreads what is there over its bins that are not empty.
    """
    inside = counts[:size].astype(np.float64)
    real = inside.copy()
    real[-1] += counts[size:].sum()
    step = np.arange(size) * steps // size
    filled = np.bincount(step, weights=real > 0, minlength=steps)
    total = np.bincount(step, weights=inside, minlength=steps)
    seen = real > 0
    coarse = (total / np.maximum(filled, 1))[step][seen]
    p, q = real[seen] / real.sum(), coarse / max(coarse.sum(), 1e-300)
    return float(np.sum(p * np.log(p / np.maximum(q, 1e-12))))
