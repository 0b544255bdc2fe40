"""DistillRecipe: everything that decides what a distil run does, frozen, typed and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse.errors import UsageError
from stillhouse.evaluation.answers import Terms
from stillhouse.students.ladder import AUTO

__all__ = ["DistillRecipe", "Prices", "Reading"]


@dataclass(frozen=True)
class Prices:
    """What the teacher costs, in US dollars per million tokens."""

    input: float = 2.50
    output: float = 10.00

    def __post_init__(self) -> None:
        for name, price in (("--price-input", self.input), ("--price-output", self.output)):
            if not 0 <= price < math.inf:
                raise UsageError(f"{name} must be 0 or more; it is {price}.")


@dataclass(frozen=True)
class Reading:
    """How the traffic is read: what the user knows better than it tells, and what becomes of bad rows."""

    labels: tuple[str, ...] = ()
    """The label set of plain answers; no student can give another one."""
    fields: tuple[str, ...] = ()
    """The keys of JSON answers to learn; other keys are dropped from the answer."""
    skip_bad_rows: bool = False
    """Go on without them and keep them aside; otherwise one bad row stops the run."""


@dataclass(frozen=True, kw_only=True)
class DistillRecipe:
    """From recorded traffic to a certified student."""

    traffic: tuple[Path, ...]
    out: Path
    holdout: Path | None = None
    """Answered rows that replace the sealed part."""
    terms: Terms = field(default_factory=Terms)
    students: tuple[str, ...] = (AUTO,)
    encoder: str = "auto"
    """`minilm`, a Transformers folder or hub id, `none`; `auto` is minilm where it is installed."""
    freeze: int = 0
    """Of the encoder's first layers, how many stay as they were pretrained, and its token embeddings with them."""
    max_minutes: float | None = None
    seed: int = 0
    reading: Reading = field(default_factory=Reading)
    name: str | None = None
    """What the student is called when served; by default the name of the bundle's folder."""
    prices: Prices = field(default_factory=Prices)

    def __post_init__(self) -> None:
        if not self.traffic:
            raise UsageError("Name at least one file of recorded calls: stillhouse distill calls.jsonl --out student")
        if not self.students:
            raise UsageError("--student names nothing; choose auto, or of words, static, encoder-K.")
        if self.freeze < 0:
            raise UsageError(f"--freeze must be 0 or more layers; it is {self.freeze}.")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise UsageError(f"--max-minutes must be above 0; it is {self.max_minutes}.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed must be 0 or more and under 2**32; it is {self.seed}.")

    @property
    def data(self) -> tuple[Path, ...]:
        """Every file that the run reads."""
        return (*self.traffic, *([self.holdout] if self.holdout else []))

    @property
    def student_name(self) -> str:
        """The name under which the student is served."""
        return self.name or self.out.resolve().name
