"""The unmodified Node client goes through fine-tuning, from an uploaded file to an answer of the model."""

from __future__ import annotations

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.crew import Crew
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import served
from tests.jobs.writers import save_base
from tests.storage.databases import SHARED_SLOWLY_ON_BOTH
from tests.wire.node_client import seen_by_node

pytestmark = SHARED_SLOWLY_ON_BOTH


@pytest.fixture(scope="module")
def seen(database, tmp_path_factory) -> dict:
    """What the client saw of a gateway with a worker and the base model `small`."""
    home = tmp_path_factory.mktemp("home")
    save_base(home / "models" / "small")
    house, crew = House(), Crew(database, home)
    house.enter(crew)
    with served(create_app(house, Shelf(database, home), wake=crew.wake)) as url:
        return seen_by_node("fine_tuning.mjs", f"{url}/v1", seconds=240)


def test_a_job_runs_to_its_end_though_it_is_paused_and_resumed(seen):
    assert seen["life"] == {
        "statuses": ["validating_files", "running", "paused", "paused", "queued", "succeeded"],
        "again": ["BadRequestError", 400, "invalid_value", "status", "req_"],
        "hyperparameters": [
            {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"},
            {"n_epochs": 8, "batch_size": 1, "learning_rate_multiplier": 1},
        ],
        "same": [7, {"sdk": "node"}, "small", None],
        "told": [True, True, True],
    }


def test_every_page_of_events_and_checkpoints_and_the_figures(seen):
    assert seen["look"] == {
        "messages": ["The job has successfully completed", True],
        "went": ["Fine-tuning job resumed", "Fine-tuning job paused"],
        "steps": 96,
        "unique": True,
        "checkpoints": [[96, True], [84, True], [72, True]],
        "result": ["step", *[str(step) for step in range(1, 97)]],
    }


def test_the_model_and_its_checkpoint_say_what_they_learnt_until_the_model_is_deleted(seen):
    gone = ["NotFoundError", 404, "model_not_found", "model", "req_"]
    assert seen["asked"] == {
        "said": [[True, True, "ahoy", "ahoy", True]] * 2,
        "deleted": [True, True],
        "gone": gone,
        "silent": gone,
    }


def test_a_bad_file_fails_the_job_with_its_code(seen):
    message = "Training file has 9 example(s), but must have at least 10 examples"
    assert seen["bad"] == {
        "status": "failed",
        "error": {"code": "invalid_n_examples", "message": message, "param": "training_file"},
        "model": None,
        "last": ["error", True],
    }


def test_a_job_is_cancelled_at_once_and_once(seen):
    refused = ["BadRequestError", 400, "invalid_value", "status", "req_"]
    assert seen["cancelled"] == {"status": "cancelled", "again": refused, "resumed": refused}


def test_jobs_are_listed_newest_first_and_by_metadata(seen):
    assert seen["listed"] == [True, 0]


def test_what_cannot_be_done_or_found_is_a_class_of_error(seen):
    missing = ["NotFoundError", 404, "fine_tune_not_found", "fine_tuning_job_id", "req_"]
    assert seen["wrong"] == {
        "model": ["BadRequestError", 400, "model_not_available", None, "req_"],
        "file": ["BadRequestError", 400, None, "training_file", "req_"],
        "job": missing,
        "events": missing,
        "checkpoints": missing,
        "after": ["BadRequestError", 400, "invalid_value", "after", "req_"],
    }
