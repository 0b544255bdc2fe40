"""How fast and how large a student is, measured as it is served."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Pace", "measure_pace"]

Answer = Callable[[Sequence[str]], object]


@dataclass(frozen=True)
class Pace:
    """One call at a time on one thread, in milliseconds; throughput on all cores, in answers a second."""

    load_ms: float
    latency_ms_p50: float
    latency_ms_p95: float
    throughput_per_s: float


def measure_pace(open_with: Callable[[int], Answer], texts: Sequence[str], seconds: float = 2.0) -> Pace:
    """Open the student with one thread and with all, and time real texts, tokenising included.

    `open_with(threads)` loads a student from disk. A fifth of the time warms up. The median and the 95th
    percentile are over single calls; throughput is the median over batches of 32.
    """
    start = time.perf_counter()
    one = open_with(1)
    one(texts[:1])
    load_ms = (time.perf_counter() - start) * 1e3
    _repeat(one, [[text] for text in texts], seconds / 10)
    calls = _repeat(one, [[text] for text in texts], seconds / 2)
    every = open_with(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    batches = [list(texts[at : at + 32]) for at in range(0, max(1, len(texts) - 31), 32)]
    _repeat(every, batches, seconds / 10)
    times = _repeat(every, batches, seconds / 3)
    sizes = np.resize([len(batch) for batch in batches], len(times))
    return Pace(
        load_ms,
        float(np.percentile(calls, 50)) * 1e3,
        float(np.percentile(calls, 95)) * 1e3,
        float(np.median(sizes / times)),
    )


def _repeat(
    answer: Answer, inputs: Sequence[Sequence[str]], seconds: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds of each call, going round the inputs until the time is up, 20 calls at least."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < 20 or time.perf_counter() < end:
        start = time.perf_counter()
        answer(inputs[len(taken) % len(inputs)])
        taken.append(time.perf_counter() - start)
    return np.asarray(taken)
