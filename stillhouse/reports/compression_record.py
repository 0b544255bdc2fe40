"""CompressionRecord: everything that a compression says about itself, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["RECORD", "CompressionRecord", "FormRecord", "GoalRecord", "TestRecord"]

RECORD = "compression.json"
"""The file by which a folder is known as what a compression left."""


@dataclass(frozen=True)
class FormRecord:
    """One form of the model, measured on the selection rows as it would be served."""

    combination: Mapping[str, str]
    """The setting of every lever."""
    words: str
    """The levers that are pulled, for people."""
    bytes: int
    """Of graph and tokenizer."""
    ms: float
    """The median time of an answer to one row, on one thread."""
    parameters: int
    quality: float
    drop: float
    """Quality lost against the whole model; negative where it gained."""
    agreement: float
    damage: float
    """Mean KL divergence from the whole model, in nats; of vectors one less their mean cosine."""
    figures: Mapping[str, float]
    reaches: bool
    """Whether it reaches the goal."""


@dataclass(frozen=True)
class GoalRecord:
    """What was asked for; None where nothing was."""

    bytes: float | None
    ms: float | None
    drop: float | None
    least_bytes: float
    """The least that any combination was foreseen to have."""
    least_ms: float


@dataclass(frozen=True)
class TestRecord:
    """The chosen form on the test rows, which nothing else has seen."""

    __test__ = False

    quality: float
    whole: float
    agreement: float
    figures: Mapping[str, float]

    @property
    def drop(self) -> float:
        return self.whole - self.quality


@dataclass(frozen=True)
class CompressionRecord:
    """A finished compression."""

    model: str
    task: str
    goal: GoalRecord
    whole: FormRecord
    forms: tuple[FormRecord, ...]
    """What was tried, in order."""
    chosen: int
    """Its place among them."""
    test: TestRecord
    alone: Mapping[str, Mapping[str, float]]
    """By lever and setting, the damage that it does alone, before healing."""
    rows: Mapping[str, int]
    run: Mapping[str, Any]
    """Seed, seconds, command and versions."""

    @property
    def chosen_form(self) -> FormRecord:
        return self.forms[self.chosen]

    @property
    def reached(self) -> bool:
        """Whether the form that is served reaches the goal."""
        return self.chosen_form.reaches

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"reached": self.reached}
