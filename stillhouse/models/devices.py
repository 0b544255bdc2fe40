"""Device, number format and threads of a training run, and why they were chosen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch

__all__ = ["Hardware", "choose"]

Precision = Literal["no", "bf16"]


@dataclass(frozen=True)
class Hardware:
    """Where a run computes. `precision` is in Accelerate's words; `reason` is for people."""

    device: str
    precision: Precision
    threads: int
    reason: str


def choose() -> Hardware:
    """The best this machine has; the same answer every time, so that reruns repeat."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torch.cuda.is_available():
        return Hardware("cuda", "bf16", threads, f"{torch.cuda.get_device_name()}, bf16 autocast")
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
        return Hardware("cpu", "bf16", threads, f"CPU with bf16 instructions, {threads} threads, bf16 autocast")
    return Hardware("cpu", "no", threads, f"CPU without bf16 instructions, {threads} threads, float32")
