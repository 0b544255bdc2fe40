"""What a job tells, in the words that clients of fine-tuning know."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from stillhouse.storage.tuning_records import NewEvent
from stillhouse.wire.fine_tuning import NewJob

__all__ = ["checkpoint_event", "created_events", "note_event", "rung_event", "step_event"]


def created_events(job_id: str, job: NewJob) -> list[NewEvent]:
    """What is told of a job that was just made."""
    files = f"Validating training file: {job.training_file}"
    if job.validation_file:
        files += f" and validation file: {job.validation_file}"
    return [NewEvent("created", f"Created fine-tuning job: {job_id}"), NewEvent("validating", files)]


def step_event(step: int, total: int, figures: Mapping[str, float]) -> NewEvent:
    """What is told of a step: its figures, as far as there are any."""
    words = f"Step {step}/{total}: training loss={figures['train_loss']:.2f}"
    for name, key in (("validation loss", "valid_loss"), ("full validation loss", "full_valid_loss")):
        if key in figures:
            words += f", {name}={figures[key]:.2f}"
    data = {"step": step, "total_steps": total, **figures}
    return NewEvent(f"step:{step}", words, data=orjson.dumps(data))


def checkpoint_event(step: int, model: str) -> NewEvent:
    """What is told of an epoch that was kept."""
    return NewEvent(f"checkpoint:{step}", f"Checkpoint created at step {step} with Snapshot ID: {model}")


def rung_event(number: int, name: str, agreement: float) -> NewEvent:
    """What is told of a student of the ladder."""
    data = {"step": number, "student": name, "valid_mean_token_accuracy": agreement}
    words = f"Step {number}: the student {name} agrees with {agreement:.1%} of the answers held out"
    return NewEvent(f"step:{number}", words, data=orjson.dumps(data))


def note_event(text: str, warning: bool) -> NewEvent:
    """What a run says on its way, once for each text."""
    return NewEvent(f"note:{hashlib.sha256(text.encode()).hexdigest()[:16]}", text, "warn" if warning else "info")
