"""Python is run only where that is enabled, and texts are embedded where the model is installed."""

from __future__ import annotations

from stillhouse.extras import installed
from stillhouse.jobs.grader_means import grader_means
from stillhouse.recipes.server import EvalsSection
from tests.evaluation.graders.judges import Judge


def test_python_is_off_unless_enabled():
    judge = Judge("x")
    off, on = grader_means(judge, EvalsSection()), grader_means(judge, EvalsSection(python_graders=True))
    assert (off.sandbox, on.sandbox is None) == (None, False)
    assert off.chat is judge
    assert (off.embed is not None) == installed("minilm")
