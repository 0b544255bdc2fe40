"""Kind: the closed list of things a teacher can tell about a sample."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Kind"]


class Kind(StrEnum):
    """What an objective needs and a teacher tells; compared before anything is spent."""

    WORDS = "words"
    """The answer itself, as label indices."""
    LOGITS = "logits"
    """A score for every label, up to a constant per position."""
