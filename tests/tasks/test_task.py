"""Any task serves the training loop's batches: classification is one."""

from __future__ import annotations

import inspect

from stillhouse.tasks.classification import Classification
from stillhouse.tasks.task import Task


def test_classification_offers_what_a_task_must():
    asked = {name: member for name, member in inspect.getmembers(Task, inspect.isfunction) if not name.startswith("_")}
    assert set(asked) == {"batch", "output", "length"}
    for name, member in asked.items():
        offered = inspect.signature(getattr(Classification, name))
        assert list(offered.parameters) == list(inspect.signature(member).parameters)
