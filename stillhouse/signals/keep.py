"""Keep: what is written down of all that a teacher tells, from words such as `topk:50` and `hidden:0,5`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.errors import UsageError
from stillhouse.signals.kinds import Kind

__all__ = ["EMBEDDING", "Keep", "hidden_name"]

EMBEDDING = "embedding"
"""The name under which one vector per sample is kept beside its scores."""


def hidden_name(layer: int) -> str:
    """The name under which a block's hidden states are kept beside the scores, a row per token."""
    return f"hidden.{layer}"


@final
@dataclass(frozen=True)
class Keep:
    """Scores in one form or none, the hidden states of some blocks, and perhaps one vector of each sample."""

    form: str | None = None
    """`topk`, the likeliest of each position with the mass of the rest; `samples`, draws; None for no scores."""
    count: int = 0
    """How many of them."""
    hidden: tuple[int, ...] = ()
    """The blocks whose states are kept, from 0; -1 is what enters the first."""
    embedding: bool = False

    @classmethod
    def of(cls, words: str | Sequence[str]) -> Keep:
        """From one word or several: `topk:K` or `samples:N`, `hidden:0,5`, `embedding`; UsageError names a wrong one.

        Blocks are put in order, and named once.
        """
        form, count, hidden, embedding = None, 0, (), False
        for word in (words,) if isinstance(words, str) else words:
            scores = re.fullmatch(r"(topk|samples):([1-9]\d*)", word)
            blocks = re.fullmatch(r"hidden:(-1|\d+)(,(-1|\d+))*", word)
            if scores and form is None:
                form, count = scores[1], int(scores[2])
            elif blocks and not hidden:
                hidden = tuple(sorted({int(block) for block in word.removeprefix("hidden:").split(",")}))
            elif word == EMBEDDING:
                embedding = True
            elif scores or blocks:
                raise UsageError(f"keep names {word.partition(':')[0]} after another of its kind; write one of them.")
            else:
                raise UsageError(
                    f"keep = {word!r} is none of `topk:K` and `samples:N`, such as topk:50, `hidden:BLOCKS`, such as "
                    "hidden:0,5, and `embedding`."
                )
        if form is None and not hidden and not embedding:
            raise UsageError("keep names nothing, so nothing could be learnt from it. Write topk:50, for one.")
        return cls(form, count, hidden, embedding)

    @property
    def words(self) -> tuple[str, ...]:
        """What `of` makes it again from, always in the same order."""
        scores = (f"{self.form}:{self.count}",) if self.form else ()
        states = (f"hidden:{','.join(map(str, self.hidden))}",) if self.hidden else ()
        return (*scores, *states, *((EMBEDDING,) if self.embedding else ()))

    @property
    def tells(self) -> frozenset[Kind]:
        """What can be learnt from it."""
        scores = {"topk": {Kind.SOFT, Kind.TOP}, "samples": {Kind.SOFT}}.get(self.form or "", set[Kind]())
        inside = ({Kind.HIDDEN} if self.hidden else set[Kind]()) | ({Kind.EMBEDDING} if self.embedding else set[Kind]())
        return frozenset(scores | inside)

    @property
    def extras(self) -> tuple[str, ...]:
        """The names under which states and vectors lie beside the scores."""
        return (*map(hidden_name, self.hidden), *((EMBEDDING,) if self.embedding else ()))
