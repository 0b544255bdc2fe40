"""Rounds: a method asks its teachers several times, each round by what the one before brought; and what all came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import final

from stillhouse.errors import TeacherError
from stillhouse.generation.desk import Desk
from stillhouse.generation.questions import Question, Reply, Tally

__all__ = ["Rounds"]

Heard = Callable[[int, int], None]
"""Is told how many questions of a round were replied to, and how many there are."""


@final
class Rounds:
    """Asks through a desk, round after round.

    What was answered is in the desk's book, so that a method which asks the same questions in the same order goes on
    where it was stopped, and pays for nothing twice.
    """

    def __init__(self, desk: Desk, heard: Heard | None = None, partial: bool = False) -> None:
        """`partial`: go on with what was answered where the budget stops, or single questions get no answer."""
        self.desk, self.tally = desk, Tally()
        self._heard, self._partial = heard, partial

    def __call__(self, questions: Sequence[Question]) -> Mapping[str, Reply]:
        """The replies by key. Raises TeacherError where some are missing, unless the work may be partial."""
        replies: dict[str, Reply] = {}
        if not questions:
            return replies

        def keep(reply: Reply) -> None:
            replies[reply.key] = reply
            if self._heard is not None:
                self._heard(len(replies), len(questions))

        found = self.desk.ask(questions, keep)
        self.tally = _together(self.tally, found)
        for question in questions if found.stopped else ():  # the budget ended before all that is known was looked up
            known = None if question.key in replies else self.desk.find(question)
            if known is not None:
                replies[question.key] = known
        if (found.stopped or found.unheard) and not self._partial:
            reason = found.stopped or next(iter(found.unheard.values()))
            raise TeacherError(
                f"{len(questions) - len(replies):,} of {len(questions):,} questions have no answer: {reason}. What was "
                "answered is kept: the same command, with a larger budget if that is spent, asks only for the rest; "
                "--partial goes on without."
            )
        return replies


def _together(one: Tally, other: Tally) -> Tally:
    """Two rounds as one; what was spent counts all rounds already."""
    return replace(
        other,
        asked=one.asked + other.asked,
        cached=one.cached + other.cached,
        refused=one.refused + other.refused,
        unheard={**one.unheard, **other.unheard},
        stopped=other.stopped or one.stopped,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
    )
