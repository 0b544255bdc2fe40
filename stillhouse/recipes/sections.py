"""The sections of a training recipe: data, teacher, student, source, objective and training, frozen and checked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.recipes.endpoint import ApiSection
from stillhouse.signals.keep import Keep
from stillhouse.tasks.explained import PREFIXES

__all__ = [
    "DataSection",
    "ObjectiveSection",
    "SourceKind",
    "SourceSection",
    "StudentSection",
    "TaskName",
    "TeacherSection",
    "TrainingSection",
    "check_least",
    "check_seed",
    "check_word",
]


class TaskName(StrEnum):
    """What kind of work is learnt."""

    CLASSIFICATION = "classification"
    CHAT = "chat"
    PREFERENCE = "preference"
    RATIONALE = "rationale"
    EMBEDDING = "embedding"
    IMAGE = "image"

    @property
    def writes(self) -> bool:
        """Whether its models are language models."""
        return self in (TaskName.CHAT, TaskName.PREFERENCE, TaskName.RATIONALE)


class SourceKind(StrEnum):
    """Where the teacher's word on a batch comes from."""

    OFFLINE = "offline"
    """Kept beforehand by `stillhouse label`, or the recorded words."""
    ONLINE = "online"
    """The teacher answers beside the student."""
    ON_POLICY = "on_policy"
    """The student writes, the teacher judges."""
    BORN_AGAIN = "born_again"
    """The generation before teaches the next."""
    EMA = "ema"
    """A moving average of the student teaches it."""
    EXITS = "exits"
    """The last block teaches earlier ones."""
    MUTUAL = "mutual"
    """Several students teach each other."""


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """Where the rows are and how they are read."""

    train: Path
    """JSONL, gzip too: `messages`, `prompt` and `completion` (and `rationale`), or `text` (and `label`); `prompt`,
    `chosen` and `rejected` for preferences; for images `.npz` with `images` (bytes) and perhaps `labels`."""
    selection: Path | None = None
    """Rows that training does not see; by default a tenth of `train`."""
    test: Path | None = None
    """Rows that only the evaluation at the end sees; by default the selection rows."""
    tokens: int = 512
    """Longer texts are cut: conversations lose their beginning, others their end."""
    counts: str = "answers"
    """For chat, which tokens count: `answers`, `last_answer` or `everything`."""
    packed: bool = False
    """For chat, preferences and rationales, let rows share lines while a model runs, so that little is padding."""
    prefixes: tuple[str, ...] = PREFIXES
    """For rationales, what is put before a question to ask for the answer, and for the reasons."""
    pooling: str = "mean"
    """For embeddings, how a text's token states become one vector: `mean`, `cls` or `last`."""
    normalised: bool = True
    """For embeddings, bring every vector to length 1."""
    crop: int = 0
    """For images, pixels by which a picture is moved at most while it is learnt."""
    flip: bool = False
    """For images, turn half of the pictures left to right while they are learnt."""
    rows: int | None = None
    """At most so many rows of `train`."""

    def __post_init__(self) -> None:
        check_word("counts", self.counts, ("answers", "last_answer", "everything"))
        check_word("pooling", self.pooling, ("mean", "cls", "last"))
        check_least(2, {"tokens": self.tokens})
        if len(set(self.prefixes)) != 2:
            raise UsageError(f'Two prefixes tell two questions apart: ["", "explain: "]; not {list(self.prefixes)}.')
        check_least(0, {"crop": self.crop})
        if self.rows is not None:
            check_least(1, {"rows": self.rows})


@dataclass(frozen=True, kw_only=True)
class TeacherSection:
    """Who is learnt from. None of these: the recorded words alone."""

    model: str | None = None
    """A Transformers folder or hub id."""
    models: tuple[str, ...] = ()
    """Several, whose answers are mixed."""
    weights: tuple[float, ...] = ()
    """How much each of them counts; by default the same."""
    signals: Path | None = None
    """The folder of its signals: `stillhouse label` writes and an offline source reads it; by default in the home."""
    keep: str | tuple[str, ...] | None = None
    """What is kept of them: `topk:K` or `samples:N`, `hidden:0,5` (blocks), `embedding`, or a list of these; by default
    topk:50, and of encoders of sentences `embedding`."""
    precision: str = "float32"
    """`float32`, `bf16`, or of language models `int8` or `int4` weights (needs the package bitsandbytes)."""
    api: ApiSection | None = None
    """One behind an API, who answers the rows that have no answer, and gives the reasons of those that have none."""

    def __post_init__(self) -> None:
        if self.model and self.models:
            raise UsageError("The teacher section names both `model` and `models`; give one of them.")
        if self.weights and len(self.weights) != len(self.models):
            raise UsageError(f"There are {len(self.models)} teachers and {len(self.weights)} weights; give one each.")
        if any(weight <= 0 for weight in self.weights):
            raise UsageError(f"The teachers' weights must be above 0; they are {list(self.weights)}.")
        check_word("precision", self.precision, ("float32", "bf16", "int8", "int4"))
        if self.keep is not None:
            Keep.of(self.keep)  # refuses what cannot be kept

    @property
    def names(self) -> tuple[str, ...]:
        """All teachers that answer."""
        return (self.model,) if self.model else self.models


@dataclass(frozen=True, kw_only=True)
class StudentSection:
    """Who learns: a model of its own, or the teacher made smaller."""

    model: str | None = None
    """A Transformers folder or hub id; by default the (first) teacher."""
    layers: int | tuple[int, ...] | None = None
    """How many blocks to keep, or which."""
    width: int | tuple[int, ...] | None = None
    """Its hidden size; of a model in stages the channels of each."""
    heads: int | None = None
    ffn: int | None = None
    importance_rows: int = 64
    """Of `width`, `heads` and `ffn`, what is used most is kept: on so many rows of the training data, 0 to go by the
    weights."""
    fresh: bool = False
    """Start from random weights instead of inherited ones: a control."""
    lora: int | None = None
    """Train low-rank adapters of this rank instead of all weights."""
    freeze: int = 0
    """Keep the embeddings and so many first blocks as they are."""
    layer_decay: float = 1.0
    """How much slower each block learns than the one above it; 1 for all alike."""

    def __post_init__(self) -> None:
        check_least(0, {"freeze": self.freeze, "importance_rows": self.importance_rows})
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"layer_decay must be above 0 and at most 1; it is {self.layer_decay}.")
        if self.lora and self.freeze:
            raise UsageError("With `lora` only adapters learn, so `freeze` has nothing to do; leave one out.")

    @property
    def cut(self) -> bool:
        """Whether it is smaller than the model that it is made of, or made anew."""
        return self.fresh or self.layers is not None or self.narrower

    @property
    def narrower(self) -> bool:
        """Whether its blocks are narrower than those of the model that it is made of."""
        return any(size is not None for size in (self.width, self.heads, self.ffn))

    @property
    def looks(self) -> bool:
        """Whether rows of the data say what of the model is kept."""
        return self.narrower and not self.fresh and self.importance_rows > 0


@dataclass(frozen=True, kw_only=True)
class SourceSection:
    """Where the teacher's word comes from, and the numbers that go with it."""

    kind: SourceKind = SourceKind.ONLINE
    batch: int = 16
    """Rows a step."""
    share: float = 1.0
    """On-policy: share of the rows that the student writes itself."""
    new_tokens: int = 64
    """On-policy: how many tokens the student writes at most."""
    temperature: float = 1.0
    """On-policy: how freely it writes."""
    replay: int = 0
    """On-policy: how many of its earlier texts are kept, of which half of what it writes is then taken again."""
    generations: int = 2
    """Born-again: how many students, one after the other."""
    average: float = 0.99
    """EMA: how much of the average stays at each step."""
    exits: tuple[int, ...] = ()
    """Exits: the blocks that learn to answer early."""
    peers: int = 2
    """Mutual: how many students."""

    def __post_init__(self) -> None:
        check_least(1, {"batch": self.batch, "new_tokens": self.new_tokens, "generations": self.generations})
        check_least(2, {"peers": self.peers})
        if not 0 <= self.share <= 1:
            raise UsageError(f"share must be between 0 and 1; it is {self.share}.")
        if self.kind is SourceKind.EXITS and not self.exits:
            raise UsageError("A source of exits needs to know them: exits = [1, 3] lets blocks 1 and 3 answer early.")


@dataclass(frozen=True, kw_only=True)
class ObjectiveSection:
    """One term of the objective: its name in the catalogue, its weight, and its own numbers under `settings`."""

    name: str
    weight: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class TrainingSection:
    """How long and how hard."""

    epochs: int = 3
    rate: float | None = None
    """Peak learning rate; by default what suits the student."""
    shape: str = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    accumulate: int = 1
    evaluations: int = 10
    patience: int = 4
    precision: str = "auto"
    """`auto` (bf16 where the machine is good at it), `no` (float32) or `bf16`."""
    save_memory: tuple[str, ...] = ()
    """`recompute`: activations are computed again in the backward pass instead of kept; `shard`: weights, gradients and
    the optimizer's state are spread over the processes (FSDP)."""
    processes: int = 1

    def __post_init__(self) -> None:
        check_least(1, {"epochs": self.epochs, "accumulate": self.accumulate, "evaluations": self.evaluations})
        check_least(1, {"patience": self.patience, "processes": self.processes})
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            raise UsageError(f"rate must be above 0 and finite; it is {self.rate}.")
        check_word("precision", self.precision, ("auto", "no", "bf16"))
        check_word("shape", self.shape, ("cosine", "linear", "constant"))
        for way in self.save_memory:
            check_word("save_memory", way, ("recompute", "shard"))


def check_word(name: str, word: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is none of those known, with the nearest one."""
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{name} = {word!r} is none of {', '.join(known)}.{hint}")


def check_seed(seed: int) -> None:
    """Refuse a seed that a source of random numbers does not take."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed must be 0 or more and under 2**32; it is {seed}.")


def check_least(least: int, numbers: Mapping[str, int]) -> None:
    """Refuse numbers below the least that makes sense."""
    for name, number in numbers.items():
        if number < least:
            raise UsageError(f"{name} must be {least} or more; it is {number}.")
