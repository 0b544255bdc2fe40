"""The schemas of fine-tuning hold of what is written, and of what is read."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.distillations import read_distillation, write_distillation
from stillhouse.wire.errors import WireError
from stillhouse.wire.fine_tuning import (
    CheckpointView,
    EventView,
    NewJob,
    Progress,
    Settled,
    read_job,
    write_checkpoints,
    write_events,
    write_jobs,
)
from stillhouse.wire.openapi.tuning import operations, schemas
from tests.wire.openapi.schemas import mismatch

JOB = {"model": "m", "training_file": "file-1"}
JOBS = "/v1/fine_tuning/jobs"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"hyperparameters": {"n_epochs": "auto", "batch_size": 4}},
        {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}}, "seed": 3, "suffix": "a b"},
        {"distillation": {"teacher": "t", "objective": "reverse_kl", "temperature": 2.0}},
        {"distillation": {"students": ["words"]}},
        {"integrations": [{"type": "wandb", "wandb": {"project": "p"}}], "metadata": {"a": "b"}},
    ],
)
def test_what_is_allowed_is_read(more):
    assert mismatch("NewJob", JOB | more) is None
    assert read_job(json.dumps(JOB | more).encode()).model == "m"
    asked = {"stored_completions": {"model": "m"}, **more}
    assert mismatch("NewDistillation", asked) is None
    assert read_distillation(json.dumps(asked).encode(), "base").model == "m"


@pytest.mark.parametrize(
    "more",
    [
        {"hyperparameters": {"n_epochs": 0}},
        {"hyperparameters": {"learning_rate_multiplier": 0}},
        {"method": {"type": "other"}},
        {"suffix": "a:b"},
        {"suffix": ""},
        {"seed": -1},
        {"distillation": {"teacher": "t", "objective": "other"}},
        {"distillation": {"teacher": "t", "depth": 3}},
        {"integrations": [{"type": "other"}]},
    ],
)
def test_what_is_forbidden_is_refused(more):
    assert mismatch("NewJob", JOB | more)
    with pytest.raises(WireError):
        read_job(json.dumps(JOB | more).encode())


@pytest.mark.parametrize("chosen", [{"created_after": 2**63}, {"limit": 9}, {"colour": "red"}, {"model": 1}])
def test_choices_that_are_forbidden_are_refused(chosen):
    asked = {"stored_completions": chosen}
    assert mismatch("NewDistillation", asked)
    with pytest.raises(WireError):
        read_distillation(json.dumps(asked).encode(), "base")


def test_jobs_are_as_they_are_told():
    asked = NewJob("m", "file-1", metadata={"a": "b"})
    done = Progress("succeeded", Settled(3, 4, 1.0), 9, None, "ft:m", 100, "file-2")
    failed = Progress("failed", error={"code": "x", "message": "why", "param": None})
    for progress in (Progress("queued"), done, failed):
        written = json.loads(write_jobs([("ftjob-1", 5, asked, progress)], False))
        assert mismatch(operations()["GET", JOBS], written) is None
    made = json.loads(write_distillation(("ftjob-1", 5, asked, Progress("queued")), (10, 0), "ab", None))
    assert mismatch("Distillation", made) is None


def test_events_and_checkpoints_are_as_they_are_told():
    events = [EventView("ftevent-1", 5, "info", "said", None, False), EventView("e", 5, "warn", "x", b'{"a":1}', True)]
    told = operations()
    assert mismatch(told["GET", f"{JOBS}/{{job_id}}/events"], json.loads(write_events(events, True))) is None
    checkpoints = [CheckpointView("ftckpt_1", 5, "ftjob-1", 4, "ft:m", b'{"step":4}')]
    written = json.loads(write_checkpoints(checkpoints, False))
    assert mismatch(told["GET", f"{JOBS}/{{job_id}}/checkpoints"], written) is None
    assert "JobCheckpoint" in schemas()
