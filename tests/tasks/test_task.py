"""Any task serves the training loop's batches."""

from __future__ import annotations

import inspect

import pytest

from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.embedding import EmbeddingTask
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.tasks.rationale import RationaleTask
from stillhouse.tasks.task import Task


@pytest.mark.parametrize("task", [Classification, ChatTask, EmbeddingTask, ImageTask, PreferenceTask, RationaleTask])
def test_it_offers_what_a_task_must(task):
    asked = {name: member for name, member in inspect.getmembers(Task, inspect.isfunction) if not name.startswith("_")}
    assert set(asked) == {"batch", "output", "asked", "length"}
    for name, member in asked.items():
        offered = inspect.signature(getattr(task, name))
        assert list(offered.parameters) == list(inspect.signature(member).parameters)
