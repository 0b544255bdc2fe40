"""Words: the tokens of one answer turned to text as they come: whole characters, and nothing of a stop."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.wire.choices import Token

__all__ = ["Piece", "Words", "held_back"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more text of an answer, and the tokens that wrote it."""

    text: str
    tokens: tuple[Token, ...] = ()


@final
class Words:
    """Holds back the bytes of a character that is not whole, and text that may be the beginning of a stop.

    Once a stop has come the answer ends before it, `is_stopped` is True, and no more may be added.
    """

    def __init__(self, stops: Sequence[str] = (), drops_space: bool = False) -> None:
        """`drops_space`: the first character is left out where it is a space, as some tokenizers have it."""
        self.is_stopped = False
        self._stops, self._drops_space = tuple(stops), drops_space
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""  # what is held back
        self._tokens: list[tuple[Token, int, int]] = []  # held back, each with where its text begins and ends
        self._out, self._end = 0, 0  # how many characters have been passed on, and have come at all

    def add(self, token: Token) -> Piece:
        """What can be passed on now that one more token has come; perhaps nothing."""
        text = self._decoder.decode(token.content)
        if self._drops_space and text:
            text, self._drops_space = text.removeprefix(" "), False
        self._tokens.append((token, self._end, self._end + len(text)))
        self._text += text
        self._end += len(text)
        found = [at for at in [self._text.find(stop) for stop in self._stops] if at >= 0]
        if found:
            self.is_stopped = True
            return self._pass(min(found), last=True)
        return self._pass(len(self._text) - held_back(self._text, self._stops))

    def end(self) -> Piece:
        """What has been held back, where an answer ends without a stop; a character that is not whole is left out."""
        return self._pass(len(self._text), last=True)

    def _pass(self, size: int, *, last: bool = False) -> Piece:
        """Pass on so many characters, with the tokens that end there; of the last also those that begin there."""
        text, self._text = self._text[:size], self._text[size:]
        self._out += size
        some = [token for token, start, end in self._tokens if end <= self._out or (last and start < self._out)]
        self._tokens = self._tokens[len(some) :]
        return Piece(text, tuple(some))


def held_back(text: str, marks: Sequence[str]) -> int:
    """How many of the last characters may be the beginning of a mark."""
    longest = min(len(text), max(map(len, marks), default=0))
    for size in range(longest, 0, -1):
        if any(len(mark) > size and mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
