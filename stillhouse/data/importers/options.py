"""Options: what an importer is told beside the file: which columns mean what, and where pictures go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import final

from stillhouse.data.shelf import Shelf
from stillhouse.errors import UsageError

__all__ = ["ROLES", "Options", "columns_of"]

ROLES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "prompt", "question", "query", "utterance", "sentence", "instruction", "input", "caption"),
    "answer": ("answer", "completion", "response", "output", "reply", "chosen"),
    "label": ("label", "labels", "class", "category", "intent"),
    "truth": ("truth", "expected", "reference", "gold"),
    "rationale": ("rationale", "reason", "reasoning", "explanation"),
    "rejected": ("rejected",),
    "system": ("system", "system_prompt"),
    "messages": ("messages",),
    "model": ("model",),
    "created": ("created", "created_at", "timestamp"),
    "language": ("language", "lang"),
    "conversation": ("conversation", "conversation_id", "session_id", "thread_id"),
    "subject": ("subject", "user_id", "user"),
    "grade": ("grade", "score"),
    "split": ("split",),
    "tags": ("tags",),
    "file": ("file_name", "file", "image", "audio", "path"),
}
"""What a column may be, and the names under which it is looked for, likeliest first."""

LONGEST = 32 * 2**20
"""Bytes of the longest row that is read: few conversations with pictures in them are longer."""


@final
@dataclass(frozen=True, slots=True)
class Options:
    """How a file is read. Nothing of it is needed for files that other tools wrote, but for the shelf of pictures."""

    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Which column is what, by what it is: `{"text": "Body", "label": "Team"}`. Those left out are found by name."""
    shelf: Shelf | None = None
    """Where the bytes of pictures and other files are kept; without one they cannot be imported."""
    longest: int = LONGEST
    """Bytes of the longest row; a longer one is a bad row."""

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ROLES:
                raise UsageError(f"A column cannot be {role!r}.{_nearest(role)} It may be: {', '.join(ROLES)}.")
        if self.longest < 1:
            raise UsageError(f"The longest row must have at least one byte, not {self.longest}.")


def columns_of(names: Sequence[str], options: Options, file: str) -> dict[str, str]:
    """Which of the columns of a table is what; raises UsageError where one that was named is not there.

    Names are compared without regard to case, and each column is one thing at most.
    """
    found: dict[str, str] = {}
    for role, name in options.columns.items():
        if name not in names:
            raise UsageError(
                f"{file} has no column {name!r} for {role}.{_nearest(name, names)} It has: {_listed(names)}."
            )
        found[role] = name
    plain = {name.strip().lower(): name for name in reversed(names)}
    for role, known in ROLES.items():
        if role not in found:
            name = next((plain[each] for each in known if each in plain and plain[each] not in found.values()), None)
            if name is not None:
                found[role] = name
    return found


def _nearest(word: str, among: Sequence[str] = tuple(ROLES)) -> str:
    near = get_close_matches(word, among, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
