"""ApiSection: the part of a recipe that names a teacher behind an API, who says what rows lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.teachers.address import check_address

__all__ = ["ApiSection"]

OURS = ("messages", "model", "n", "stream", "tools")
"""Keys of a request that follow from the recipe and its rows."""


@dataclass(frozen=True, kw_only=True)
class ApiSection:
    """Any endpoint that speaks OpenAI's chat completions."""

    url: str
    """Its base URL, such as `https://api.openai.com/v1` or `http://localhost:8000/v1`."""
    model: str
    """The model's name there."""
    key_env: str | None = None
    """The environment variable that holds the key; None: no key is sent."""
    at_once: int = 8
    """How many questions are under way at once."""
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    """More keys of every request, such as `{ temperature = 0, max_completion_tokens = 400 }`."""
    ask: str = "Answer with exactly one of these labels and nothing else: {labels}.\n\n{text}"
    """For classification, what is asked; `{text}` and `{labels}` stand for the row's text and all labels."""
    reasons: str = "Explain in a few sentences, step by step, why this is the answer."
    """For rationales, what is asked after a row's question and answer."""
    labels: tuple[str, ...] = ()
    """For classification, the labels; by default those that rows of the data have."""

    def __post_init__(self) -> None:
        check_address(self.url, "url")
        if self.at_once < 1:
            raise UsageError(f"at_once must be 1 or more; it is {self.at_once}.")
        ours = sorted(set(self.request) & set(OURS))
        if ours:
            raise UsageError(f"request sets {ours[0]!r}, which follows from the recipe and its rows. Leave it out.")
        if "{text}" not in self.ask:
            raise UsageError(f"ask has no {{text}}, so every row would be asked the same: {self.ask!r}.")
        if len(set(self.labels)) < len(self.labels):
            raise UsageError(f"labels names one of them twice: {list(self.labels)}.")

    def known_labels(self, answers: Sequence[Any] | None) -> tuple[str, ...]:
        """The labels to choose among, those of the section or of rows, in the order of the alphabet."""
        found = set(self.labels) or {answer for answer in answers or () if isinstance(answer, str)}
        if len(found) < 2:
            raise UsageError(
                "The teacher has to know the labels to choose among: set teacher.api.labels, or give rows with labels "
                "by name."
            )
        return tuple(sorted(found))
