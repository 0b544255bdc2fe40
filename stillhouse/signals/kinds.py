"""Kind: the closed list of things a teacher can tell about a sample."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["EVERY_SCORE", "Kind"]


class Kind(StrEnum):
    """What an objective needs and a teacher tells; compared before anything is spent.

    The first three soft answers include one another: whoever tells LOGITS tells TOP and SOFT too.
    """

    WORDS = "words"
    """The answer itself, as label or token indices."""
    SOFT = "soft"
    """A soft answer, at least an unbiased sample of it: enough for cross-entropy and forward KL."""
    TOP = "top"
    """Log-probs of the likeliest labels, with the mass of the rest: enough for every divergence over k + 1 bins."""
    LOGITS = "logits"
    """A score for every label, up to a constant per position."""
    HIDDEN = "hidden"
    """Hidden states of chosen blocks."""
    ATTENTION = "attention"
    """Attention weights of chosen blocks."""
    HEADS = "heads"
    """Queries, keys and values of chosen blocks."""
    EMBEDDING = "embedding"
    """One vector per sample."""
    PREFERENCE = "preference"
    """Which of two answers is better."""
    ALIGNED = "aligned"
    """Scores in words of its own, another tokenizer's, and which chunks of text both speak of."""
    LIKELIHOOD = "likelihood"
    """How likely it finds each answer as a whole."""


EVERY_SCORE = frozenset({Kind.SOFT, Kind.TOP, Kind.LOGITS})
"""What a teacher tells who gives a score for every label."""
