"""Row: one answer while it is written, token by token, in a batch with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from stillhouse.errors import ModelFailed
from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.grammar import Constraint, Grammar
from stillhouse.inference.words import Piece, Words
from stillhouse.wire.chat_options import Drawing
from stillhouse.wire.choices import Token

__all__ = ["End", "Event", "Order", "Row"]

BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written after a prompt."""

    prompt: tuple[int, ...]
    most: int
    """Tokens at most."""
    drawing: Drawing = field(default_factory=Drawing)
    stops: tuple[str, ...] = ()
    grammar: Grammar | None = None
    top: int | None = None
    """How many likely tokens to tell beside each; None: no log-probabilities at all."""


@dataclass(frozen=True, slots=True)
class End:
    """Why an answer ended, after how many tokens; or the error that ended it."""

    reason: str
    tokens: int
    error: Exception | None = None


Event = Piece | End


@final
class Row:
    """Tells `tell` each piece that is certain, and the end last. Only `leave` may be called from other threads."""

    def __init__(self, order: Order, index: int, tokens: ChatTokens, tell: Callable[[int, Event], None]) -> None:
        """`index`: which of a call's choices it is; with it a seed gives each of them draws of its own."""
        self.order, self.is_over = order, False
        self.counts: Counter[int] = Counter()
        """How often each token has been written."""
        self.constraint: Constraint | None = order.grammar.begin() if order.grammar else None
        self._index, self._tokens, self._tell = index, tokens, tell
        self._words = Words(order.stops, tokens.drops_space)
        self._written = 0
        seed = order.drawing.seed
        self._random = np.random.default_rng(None if seed is None else [seed & BITS, index])

    def draw(self) -> float:
        """The next of the row's own random numbers in [0, 1)."""
        return float(self._random.random())

    def take(self, token: int, logprob: float = 0.0, top: Sequence[tuple[int, float]] = ()) -> None:
        """The token that was chosen next; afterwards the row may be over."""
        self._written += 1
        if token in self._tokens.ends:
            self._finish("stop")
            return
        if self.order.drawing.presence_penalty or self.order.drawing.frequency_penalty:
            self.counts[token] += 1
        content = self._tokens.content(token)
        if content:
            names = tuple([(self._tokens.name(other), value) for other, value in top])
            self._pass(self._words.add(Token(content, logprob, names)))
        try:
            is_done = self._words.is_stopped or (self.constraint is not None and self.constraint.take(token))
        except ModelFailed as error:
            self.fail(error)
            return
        if is_done:
            self._finish("stop")
        elif self._written >= self.order.most:
            self._finish("length")

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self.is_over = True
        self._tell(self._index, End("error", self._written, error))

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self.is_over = True

    def _finish(self, reason: str) -> None:
        if not self._words.is_stopped:
            self._pass(self._words.end())
        self.is_over = True
        self._tell(self._index, End(reason, self._written))

    def _pass(self, piece: Piece) -> None:
        if piece.text or piece.tokens:
            self._tell(self._index, piece)
