"""The unmodified Node client goes through evals: makes them, runs them, reads every page, cancels and deletes."""

from __future__ import annotations

import pytest

from tests.jobs.evaluating import hands, world
from tests.wire.node_client import seen_by_node


@pytest.fixture(scope="module")
def seen(database, tmp_path_factory) -> dict:
    """What the client saw."""
    with world(tmp_path_factory.mktemp("home"), database) as where, hands(where):
        return seen_by_node("evals.mjs", where.base_url)


def test_rows_of_a_request_and_of_a_file_are_sampled_and_judged(seen):
    assert seen["sampled"] == {
        "ends": [["completed", 2, 1, 1, 0], ["completed", 2, 0, 2, 0]],
        "criteria": [["same", 1, 1], ["tone", 2, 0], ["length", 1, 1]],
        "usage": [["judge-2026-01-01", 4], ["shouts-2026-01-01", 2]],
        "reported": True,
        "said": ["ALPHA BETA GAMMA", "DELTA"],
        "results": [
            [["same", True, 1], ["tone", True, 1], ["length", True, 3]],
            [["same", False, 0], ["tone", True, 1], ["length", False, 1]],
        ],
        "one": [True, "delta", "fail"],
        "failed": [1],
        "listed": True,
        "shown": [["string_check", "same"], ["label_model", "tone"], ["score_model", "length"]],
    }


def test_samples_that_came_with_the_rows_are_judged_then_renamed_and_deleted(seen):
    assert seen["kept"] == {
        "end": ["completed", 2, 1, 1, 0],
        "changed": [True, "renamed", {"new": "yes"}],
        "listed": ["sampled", "renamed"],
        "dropped": [True, True],
        "gone": [True, True],
        "missing": [["NotFoundError", 404, "not_found", param, "req_"] for param in ("eval_id", "eval_id", "run_id")],
    }


def test_stored_completions_are_judged_and_asked_anew(seen):
    assert seen["stored"] == {
        "config": ["stored_completions", {"usecase": "node"}],
        "all": ["completed", 2, 1, 1, 0],
        "some": ["completed", 1, 0, 1, 0],
        "anew": ["completed", 2, 1, 1, 0],
        "said": ["FIRST ONE HERE", "SECOND"],
    }


def test_a_run_is_cancelled(seen):
    assert seen["cancelled"] == {"begun": "queued", "asked": "canceled", "end": "canceled", "again": None, "listed": 1}


def test_what_cannot_work_is_a_class_of_error_with_its_path(seen):
    refused = {
        "config": ("missing_required_parameter", "data_source_config.item_schema"),
        "grader": ("invalid_value", "testing_criteria[0].operation"),
        "judge": ("invalid_value", "testing_criteria[0].passing_labels[0]"),
    }
    assert seen["wrong"] == {
        name: ["BadRequestError", 400, code, param, "req_"] for name, (code, param) in refused.items()
    }


def test_one_grader_alone(seen):
    assert seen["graders"] == [1, 3, "same"]
