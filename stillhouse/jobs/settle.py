"""What `auto` comes to, and the names of tuned models: everything about a job that follows from what was asked."""

from __future__ import annotations

import hashlib

from stillhouse.wire.fine_tuning import Hyperparameters, Method, Settled

__all__ = ["ORGANIZATION", "checkpoint_name", "model_name", "settle"]

ORGANIZATION = "local"
"""The organization in the names of models."""
EPOCHS, LEAST_SEEN, MOST_EPOCHS, MOST_SEEN = 3, 100, 25, 25_000
BATCHES, LARGEST_BATCH = 64, 64
BETA = 0.1
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def settle(asked: Hyperparameters, method: Method, rows: int) -> Settled:
    """What a job on so many rows learns with: as asked for, and else by these rules.

    Three epochs; more (up to 25) of files so small that they would show fewer than 100 rows, fewer of files that would
    show more than 25,000. A batch is a sixty-fourth of the rows, from 1 to 64. The multiplier is 1, and beta 0.1.
    """
    epochs = EPOCHS
    if rows * EPOCHS < LEAST_SEEN:
        epochs = max(1, min(MOST_EPOCHS, LEAST_SEEN // max(rows, 1)))
    elif rows * EPOCHS > MOST_SEEN:
        epochs = max(1, MOST_SEEN // rows)
    return Settled(
        n_epochs=asked.n_epochs or epochs,
        batch_size=asked.batch_size or max(1, min(LARGEST_BATCH, rows // BATCHES)),
        learning_rate_multiplier=asked.learning_rate_multiplier or 1.0,
        beta=(asked.beta or BETA) if method == "dpo" else None,
    )


def model_name(base: str, suffix: str | None, job_id: str) -> str:
    """The name of the model that a job makes; of the same job always the same."""
    return f"ft:{base}:{ORGANIZATION}:{suffix or ''}:{_letters(job_id)}"


def checkpoint_name(base: str, suffix: str | None, job_id: str, step: int) -> str:
    """The name of what a job keeps of an earlier epoch."""
    return f"{model_name(base, suffix, f'{job_id}/{step}')}:ckpt-step-{step}"


def _letters(seed: str) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(8))
