"""The JSON of fine-tuning: what is read, what is refused, and what clients are shown."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.fine_tuning import (
    CheckpointView,
    Distillation,
    EventView,
    Exam,
    Hyperparameters,
    NewJob,
    Progress,
    Settled,
    read_job,
    read_kept_job,
    unknown_job,
    write_checkpoints,
    write_events,
    write_job,
    write_jobs,
    write_request,
)

LEAST = {"model": "small", "training_file": "file-1"}


def read(**more) -> NewJob:
    return read_job(json.dumps(LEAST | more).encode())


def test_the_least_that_is_asked_is_supervised_and_all_else_auto():
    assert read() == NewJob("small", "file-1")
    assert read(validation_file=None, method=None, suffix=None, seed=None, metadata=None) == read()


def test_hyperparameters_are_read_from_the_method_and_from_the_old_place():
    given = {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": 0.5}
    expected = Hyperparameters(2, None, 0.5)
    assert read(hyperparameters=given).hyperparameters == expected
    method = {"type": "supervised", "supervised": {"hyperparameters": given}}
    assert read(method=method, hyperparameters={"n_epochs": 9}).hyperparameters == expected
    dpo = read(method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3}}})
    assert (dpo.method, dpo.hyperparameters) == ("dpo", Hyperparameters(beta=0.3))


def test_an_exam_is_kept_and_shown_by_its_eval_but_never_taken_from_a_client():
    exam = Exam("eval_1", "evalrun_1", "opens-it", "file-1", 9)
    asked = NewJob("small", "file-1", exam=exam)
    assert read_kept_job(write_request(asked)) == asked
    assert read_job(write_request(asked)).exam is None
    shown = json.loads(write_job("ftjob-1", 1, asked, Progress("queued")))
    assert shown["eval_id"] == "eval_1"
    assert "opens-it" not in json.dumps(shown)
    assert read_kept_job(json.dumps(LEAST).encode()) == read()


WRONG = {
    "model": ({"model": None}, "missing_required_parameter", "model"),
    "file": ({"training_file": None}, "missing_required_parameter", "training_file"),
    "kind": ({"method": {"type": "other"}}, "invalid_value", "method.type"),
    "no kind": ({"method": {}}, "missing_required_parameter", "method.type"),
    "reinforcement": ({"method": {"type": "reinforcement"}}, "unsupported_feature", "method.type"),
    "epochs": ({"hyperparameters": {"n_epochs": 51}}, "integer_above_max_value", "hyperparameters.n_epochs"),
    "no epochs": ({"hyperparameters": {"n_epochs": 0}}, "integer_below_min_value", "hyperparameters.n_epochs"),
    "batch": ({"hyperparameters": {"batch_size": 1.5}}, "invalid_type", "hyperparameters.batch_size"),
    "rate": (
        {"hyperparameters": {"learning_rate_multiplier": 0}},
        "invalid_value",
        "hyperparameters.learning_rate_multiplier",
    ),
    "beta": (
        {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 3}}}},
        "decimal_above_max_value",
        "method.dpo.hyperparameters.beta",
    ),
    "suffix": ({"suffix": "x" * 65}, "string_above_max_length", "suffix"),
    "colon": ({"suffix": "a:b"}, "invalid_value", "suffix"),
    "seed": ({"seed": 2**31}, "integer_above_max_value", "seed"),
    "metadata": ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
    "integration": ({"integrations": [{"type": "mlflow"}]}, "invalid_value", "integrations[0].type"),
    "no project": (
        {"integrations": [{"type": "wandb", "wandb": {}}]},
        "missing_required_parameter",
        "integrations[0].wandb.project",
    ),
    "teacher": ({"distillation": {}}, "missing_required_parameter", "distillation.teacher"),
    "objective": ({"distillation": {"teacher": "t", "objective": "x"}}, "invalid_value", "distillation.objective"),
    "unknown": ({"distillation": {"teacher": "t", "x": 1}}, "unknown_parameter", "distillation.x"),
    "dpo": ({"distillation": {"teacher": "t"}, "method": {"type": "dpo"}}, "invalid_value", "distillation"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name):
    more, code, param = WRONG[name]
    with pytest.raises(WireError) as refused:
        read(**more)
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, code, param)


def test_a_job_is_kept_as_json_that_is_read_back():
    for job in (
        NewJob("m", "f"),
        NewJob("m", "f", "v", "dpo", Hyperparameters(1, 2, 0.5, 0.2), "s", 7, {"a": "b"}),
        NewJob("m", "f", integrations=({"type": "wandb", "wandb": {"project": "p"}},)),
        NewJob("m", "f", distillation=Distillation("t", (), "reverse_kl", 2.0, 0.5)),
        NewJob("m", "f", distillation=Distillation(students=("words", "static"))),
    ):
        assert read_job(write_request(job)) == job


def test_a_new_job_is_shown_with_everything_that_clients_look_for():
    shown = json.loads(write_job("ftjob-1", 5, read(seed=3), Progress("validating_files")))
    auto = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert shown == {
        "object": "fine_tuning.job",
        "id": "ftjob-1",
        "model": "small",
        "created_at": 5,
        "finished_at": None,
        "fine_tuned_model": None,
        "organization_id": "org-local",
        "result_files": [],
        "status": "validating_files",
        "validation_file": None,
        "training_file": "file-1",
        "hyperparameters": auto,
        "trained_tokens": None,
        "error": None,
        "user_provided_suffix": None,
        "seed": 3,
        "estimated_finish": None,
        "integrations": [],
        "metadata": None,
        "usage_metrics": None,
        "shared_with_openai": False,
        "eval_id": None,
        "method": {"type": "supervised", "supervised": {"hyperparameters": auto}},
    }


def test_what_auto_came_to_is_shown_in_both_places_and_dpo_has_one():
    settled = Settled(3, 2, 1.0)
    shown = json.loads(write_job("j", 5, read(), Progress("running", settled)))
    assert shown["hyperparameters"] == {"n_epochs": 3, "batch_size": 2, "learning_rate_multiplier": 1.0}
    assert shown["method"]["supervised"]["hyperparameters"] == shown["hyperparameters"]
    dpo = json.loads(write_job("j", 5, read(method={"type": "dpo"}), Progress("running", Settled(3, 2, 1.0, 0.1))))
    assert dpo["hyperparameters"] is None
    assert dpo["method"]["dpo"]["hyperparameters"]["beta"] == 0.1


def test_pages_have_the_envelopes_of_their_lists():
    jobs = json.loads(write_jobs([("j", 5, read(), Progress("queued"))], True))
    assert (jobs["object"], jobs["has_more"], len(jobs["data"])) == ("list", True, 1)
    events = json.loads(write_events([EventView("e", 5, "info", "words", b'{"step":1}', True)], False))
    assert events["data"] == [
        {
            "object": "fine_tuning.job.event",
            "id": "e",
            "created_at": 5,
            "level": "info",
            "message": "words",
            "data": {"step": 1},
            "type": "metrics",
        }
    ]
    kept = json.loads(write_checkpoints([CheckpointView("c", 5, "j", 3, "ft:x", b'{"step":3}')], False))
    assert kept["data"][0]["fine_tuned_model_checkpoint"] == "ft:x"
    assert (kept["first_id"], kept["last_id"]) == ("c", "c")
    assert json.loads(write_checkpoints([], False))["first_id"] is None


def test_a_job_that_is_not_there_has_an_error_of_its_own():
    assert (unknown_job("x").status, unknown_job("x").code) == (404, "fine_tune_not_found")
