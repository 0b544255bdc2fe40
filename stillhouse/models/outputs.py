"""Batch, StudentOutput and TeacherOutput: tensors in flight between sources, students and objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from stillhouse.models.scores import Projection, Scores

__all__ = ["ABSENT", "Aligned", "Batch", "Features", "Heads", "Layers", "StudentOutput", "TeacherOutput", "move"]

ABSENT = -1e4
"""The logit of a label that a position does not have: probability zero, and finite gradients."""

Anything = TypeVar("Anything")


@dataclass(frozen=True)
class Batch:
    """Some samples, padded to one length.

    `inputs` is what the model reads, by name: `input_ids` and `attention_mask` `[rows, tokens]`, or
    `pixel_values` `[rows, channels, height, width]`. `labels` is `[rows, positions]` with the index of the
    teacher's answer to each position's question, or -1 where it gave none or it does not count; for a
    language model position t asks for token t + 1. `rows` `[rows]` says which samples they are. `parts` `[rows]`
    says which part of a task each row is, where samples are asked in several ways: 0 the answer, 1 its rationale.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor
    rows: Tensor
    parts: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same samples on a device."""
        return move(self, device)


@dataclass(frozen=True)
class Layers:
    """What to catch inside a model, by number of block: 0 is the first, -1 what enters it (the embeddings).

    The blocks of a convolutional model are its stages. `embedding` asks for the vector of each sample, which is the
    task's to make.
    """

    hidden: frozenset[int] = frozenset()
    attention: frozenset[int] = frozenset()
    heads: frozenset[int] = frozenset()
    embedding: bool = False

    def __or__(self, other: Layers) -> Layers:
        return Layers(
            self.hidden | other.hidden,
            self.attention | other.attention,
            self.heads | other.heads,
            self.embedding or other.embedding,
        )

    def __bool__(self) -> bool:
        return bool(self.hidden or self.attention or self.heads or self.embedding)


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values of one block, `[rows, heads, tokens, width]` each; heads may differ in number."""

    queries: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Features:
    """What was caught inside a model, by number of block."""

    hidden: Mapping[int, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    """`[rows, tokens, width]`; of image models `[rows, channels, height, width]`."""
    attention: Mapping[int, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    """`[rows, heads, tokens, tokens]`, each row of weights adding up to one."""
    heads: Mapping[int, Heads] = field(default_factory=lambda: MappingProxyType({}))
    embedding: Tensor | None = None
    """`[rows, width]`."""


@dataclass(frozen=True)
class StudentOutput:
    """What the student says: `scores` `[rows, positions, labels]`, `ABSENT` where a label does not exist."""

    scores: Tensor | Projection | None = None
    features: Features = field(default_factory=Features)

    @property
    def logits(self) -> Tensor:
        """The scores as dense logits."""
        if self.scores is None:
            raise ValueError("This student gives no scores over labels, only features.")
        return self.scores.logits() if isinstance(self.scores, Projection) else self.scores


@dataclass(frozen=True)
class Aligned:
    """Where a teacher with another tokenizer speaks of the same text: chunks that both cut the text into.

    A position asks for the token after it; that token is the position's label. `labels` `[rows, teacher positions]`
    are the teacher's own, -1 where none counts. `teacher` `[rows, teacher positions]` and `student`
    `[rows, student positions]` say which chunk each position's label belongs to, -1 for none, and no row has more
    than `chunks`. `shared` are the ids of both that write the same bytes, the student's and the teacher's, `[shared]`
    each.
    """

    labels: Tensor
    teacher: Tensor
    student: Tensor
    chunks: int
    shared: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class TeacherOutput:
    """What the teacher told: `scores` of its answers, and where it did: `told` `[rows, positions]`, None everywhere."""

    scores: Scores | None = None
    told: Tensor | None = None
    features: Features = field(default_factory=Features)
    log_probs: Tensor | None = None
    """`[rows]`, in nats: how likely the teacher finds each row's labelled answer as a whole."""
    aligned: Aligned | None = None
    """For a teacher with another tokenizer, whose scores are of its own positions and vocabulary."""

    def to(self, device: torch.device) -> TeacherOutput:
        """The same answers on a device."""
        return move(self, device)


def move(value: Anything, device: torch.device) -> Anything:
    """The same tree of dataclasses, mappings and tuples with its tensors on a device."""
    found: Any = value
    if isinstance(found, Tensor):
        found = found.to(device)
    elif isinstance(found, Mapping):
        found = {key: move(part, device) for key, part in found.items()}
    elif isinstance(found, tuple):
        found = tuple(move(part, device) for part in found)
    elif is_dataclass(found) and not isinstance(found, type):
        found = replace(found, **{part.name: move(getattr(found, part.name), device) for part in fields(found)})
    return cast("Anything", found)
