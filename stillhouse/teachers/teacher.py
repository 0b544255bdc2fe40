"""Teacher: whoever answers a batch while a student learns, and what it can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stillhouse.signals.kinds import Kind

if TYPE_CHECKING:
    from stillhouse.models.outputs import Batch, Layers, TeacherOutput

__all__ = ["Teacher"]


class Teacher(Protocol):
    """Answers batch by batch: a model (`local`), several (`ensemble`), or what was kept of one (`cached`)."""

    @property
    def tells(self) -> frozenset[Kind]:
        """What it can tell about a sample."""
        ...

    @property
    def tokenizer(self) -> str | None:
        """The hash of the tokenizer whose ids it scores; None where it is not known, or labels are no tokens."""
        ...

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What it tells about a batch, and what is to be caught inside it; nothing here takes gradients."""
        ...
