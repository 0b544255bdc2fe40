"""Students of every kind, in small, as exporters are given them."""

from __future__ import annotations

from pathlib import Path

from stillhouse.export.subject import Subject
from stillhouse.recipes.open_student import open_student
from tests.models import kinds, tiny


def subject(kind: str, folder: Path) -> Subject:
    """A random model of one kind, saved as users bring it, and opened."""
    return open_student(tiny.save(folder / kind, kinds.make(kind), tiny.wordpiece()))
