"""Preference: pairs of answers to one prompt, of which one is better, for a language model to tell apart."""

from __future__ import annotations

import sys
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
from stillhouse.tasks.pairs import pair_of

__all__ = ["PreferenceTask", "read_preferences"]

Flags = npt.NDArray[np.bool_]
LEAST = 4
"""Fewer tokens than this hold no prompt and no answer."""


@final
@dataclass(frozen=True)
class PreferenceTask:
    """Sample i is a pair: rows 2i (the better answer) and 2i + 1 (the worse) of `answers`.

    A batch has both rows of every pair side by side under the number of the pair, which is how objectives of
    preferences read it. Since a sample is a pair, nothing that deals out samples can part the two.
    """

    answers: ChatTask

    @property
    def vocabulary(self) -> int:
        """How many tokens are scored."""
        return self.answers.vocabulary

    @property
    def pairs(self) -> int:
        """How many samples there are."""
        return len(self.answers.ids) // 2

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        both = [text for row in rows for text in (2 * row, 2 * row + 1)]
        return replace(self.answers.batch(both, epoch), rows=torch.tensor(rows).repeat_interleave(2))

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        return self.answers.output(student, batch, layers)

    def asked(self, batch: Batch) -> Tensor:
        return self.answers.asked(batch)

    def length(self, row: int) -> int:
        return max(self.answers.length(2 * row), self.answers.length(2 * row + 1))


def read_preferences(
    rows: Sequence[Mapping[str, Any]], tokenizer: Any, tokens: int = 512, packed: bool = False
) -> PreferenceTask:
    """Rows of preferences (see `pair_of`) through a fast tokenizer of Transformers; sample i is row i.

    The answers alone count. In pairs longer than `tokens` both prompts lose the same tokens at their beginning, but for
    the token that begins every text, until half of `tokens` are left of them; then answers lose their end. Raises
    UsageError naming the row that cannot be read.
    """
    if tokens < LEAST:
        raise UsageError(f"A pair needs {LEAST} tokens or more to learn from; `tokens` is {tokens}.")
    pairs = [_pair(at, row) for at, row in enumerate(rows)]
    better, worse = (_read([pair[side] for pair in pairs], tokenizer, side) for side in (0, 1))
    ids: list[Ids] = []
    counted: list[Flags] = []
    for at in range(len(pairs)):
        both = [(task.ids[at], task.counted[at]) for task in (better, worse)]
        for own, flags in _cut(both, tokens, tokenizer.bos_token_id):
            ids.append(own)
            counted.append(flags)
    return PreferenceTask(replace(better, ids=ids, counted=counted, packed=packed))


def _pair(at: int, row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return pair_of(row)
    except UsageError as error:
        raise UsageError(f"Row {at}: {error}") from error


def _read(rows: Sequence[dict[str, Any]], tokenizer: Any, side: int) -> ChatTask:
    """The better answers, or the worse ones, each after its prompt and at full length."""
    try:
        return read_chat(rows, tokenizer, tokens=sys.maxsize)
    except UsageError as error:
        raise UsageError(f"Of the {('better', 'worse')[side]} answers: {error}") from error


def _cut(both: Sequence[tuple[Ids, Flags]], tokens: int, begin: int | None) -> list[tuple[Ids, Flags]]:
    """Both rows of a pair in at most `tokens` tokens each, with the same part of their prompt."""
    prompts = [int(flags.argmax()) for _, flags in both]
    longest = max(len(ids) - prompt for (ids, _), prompt in zip(both, prompts, strict=True))
    room = max(tokens - longest, tokens // 2)
    found: list[tuple[Ids, Flags]] = []
    for (ids, flags), prompt in zip(both, prompts, strict=True):
        kept = np.arange(max(0, prompt - room), prompt)
        if len(kept) < prompt and begin is not None and ids[0] == begin:
            kept[0] = 0
        end = min(len(ids), prompt + tokens - len(kept))
        places = np.concatenate([kept, np.arange(prompt, end)])
        found.append((ids[places], flags[places]))
    return found
