"""Jobs, checkpoints and models for the tests of fine-tuning's storage."""

from __future__ import annotations

import json

from stillhouse.storage.ids import new_id
from stillhouse.storage.tuning_records import ModelKind, Status, TunedModel, TuningCheckpoint, TuningJob


def job(project: str = "p", **given) -> TuningJob:
    request = json.dumps({"model": "small", "metadata": given.pop("metadata", None)}).encode()
    values = {"id": new_id("ftjob-"), "created": 100, "status": Status.VALIDATING, "request": request} | given
    return TuningJob(project=project, **values)


def checkpoint(job_id: str, step: int) -> TuningCheckpoint:
    return TuningCheckpoint(new_id("ftckpt_"), job_id, 100, step, f"ft:small:{step}", b'{"step":1}')


def model(name: str, project: str = "p", job_id: str = "j") -> TunedModel:
    return TunedModel(name, project, 100, job_id, ModelKind.LANGUAGE, f"jobs/{job_id}/epochs/1")
