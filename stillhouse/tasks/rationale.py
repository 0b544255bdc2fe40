"""Rationale: questions asked twice, for the answer and for the reasons behind it, in rows of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, StudentOutput
from stillhouse.models.tokenizers import Ids
from stillhouse.tasks.chat import ChatTask, read_chat
from stillhouse.tasks.explained import PREFIXES, asked_twice

__all__ = ["RationaleTask", "read_rationales"]

Flags = npt.NDArray[np.bool_]


@final
@dataclass(frozen=True)
class RationaleTask:
    """Sample i is a question: the texts from `first[i]` up to `first[i + 1]`, one for the answer, one for its reasons.

    A batch has all rows of its samples, and in `parts` which of them ask for what: 0 the answer, 1 the reasons.
    """

    texts: ChatTask
    first: Sequence[int]
    """`[samples + 1]`."""

    @property
    def vocabulary(self) -> int:
        """How many tokens are scored."""
        return self.texts.vocabulary

    @property
    def samples(self) -> int:
        """How many questions there are."""
        return len(self.first) - 1

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        texts = [(row, text) for row in rows for text in self._of(row)]
        parts = torch.tensor([text - self.first[row] for row, text in texts])
        found = self.texts.batch([text for _, text in texts], epoch)
        return replace(found, rows=torch.tensor([row for row, _ in texts]), parts=parts)

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        return self.texts.output(student, batch, layers)

    def asked(self, batch: Batch) -> Tensor:
        return self.texts.asked(batch)

    def length(self, row: int) -> int:
        return max(self.texts.length(text) for text in self._of(row))

    def _of(self, row: int) -> range:
        return range(self.first[row], self.first[row + 1])


def read_rationales(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    tokens: int = 512,
    prefixes: Sequence[str] = PREFIXES,
    packed: bool = False,
) -> RationaleTask:
    """Rows with reasons (see `asked_twice`) through a fast tokenizer of Transformers; sample i is row i.

    `prefixes` ask for the answer and for the reasons. Rows without a rationale are asked for their answer only. Longer
    texts than `tokens` lose their beginning, as `read_chat` cuts them. Raises UsageError naming the row that cannot be
    read.
    """
    if len(prefixes) != 2 or prefixes[0] == prefixes[1]:
        raise UsageError(f"Two prefixes tell the two questions apart; these are {list(prefixes)}.")
    asked = [_asked(at, row, prefixes) for at, row in enumerate(rows)]
    answers = read_chat([each[0] for each in asked], tokenizer, tokens=tokens)
    try:
        reasons = read_chat([each[1] for each in asked if len(each) > 1], tokenizer, tokens=tokens)
    except UsageError as error:
        raise UsageError(f"Of the rationales alone: {error}") from error
    told = zip(reasons.ids, reasons.counted, strict=True)
    texts: list[tuple[Ids, Flags]] = []
    first = [0]
    for at, each in enumerate(asked):
        texts.append((answers.ids[at], answers.counted[at]))
        texts.extend(next(told) for _ in each[1:])
        first.append(len(texts))
    ids, counted = [own for own, _ in texts], [flags for _, flags in texts]
    return RationaleTask(replace(answers, ids=ids, counted=counted, packed=packed), first)


def _asked(at: int, row: Mapping[str, Any], prefixes: Sequence[str]) -> list[dict[str, Any]]:
    try:
        return asked_twice(row, prefixes)
    except UsageError as error:
        raise UsageError(f"Row {at}: {error}") from error
