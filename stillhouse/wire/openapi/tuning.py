"""Fine-tuning jobs and distillations in the words of OpenAPI."""

from __future__ import annotations

from stillhouse.wire.distillations import LATEST
from stillhouse.wire.fine_tuning import LARGEST_SEED, OBJECTIVES
from stillhouse.wire.openapi.chat import cut
from stillhouse.wire.openapi.shapes import (
    JSON,
    Operation,
    Schema,
    array,
    asked,
    const,
    either,
    number,
    or_null,
    page,
    record,
    ref,
    text,
    whole,
)

__all__ = ["operations", "schemas"]

TAG = "Fine-tuning"
STATUSES = ("validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled")


def operations() -> dict[tuple[str, str], Operation]:
    """By method and path."""
    jobs, one = "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/{job_id}"
    job, pages = {JSON: ref("Job")}, cut(ordered=False)
    events, kept = {JSON: page("JobEvent", ends=False)}, {JSON: page("JobCheckpoint")}
    return {
        ("POST", jobs): Operation("createFineTuningJob", "A new job.", TAG, job, body=ref("NewJob")),
        ("GET", jobs): Operation(
            "listFineTuningJobs",
            "Jobs, newest first.",
            TAG,
            {JSON: page("Job", ends=False)},
            query={**pages, "metadata": ref("Metadata")},
        ),
        ("GET", one): Operation("retrieveFineTuningJob", "A job, as it is now.", TAG, job),
        ("POST", f"{one}/cancel"): Operation("cancelFineTuningJob", "A job to its end, at once.", TAG, job),
        ("POST", f"{one}/pause"): Operation("pauseFineTuningJob", "A job at rest.", TAG, job),
        ("POST", f"{one}/resume"): Operation("resumeFineTuningJob", "A job in the queue again.", TAG, job),
        ("GET", f"{one}/events"): Operation("listFineTuningEvents", "What happened.", TAG, events, query=pages),
        ("GET", f"{one}/checkpoints"): Operation(
            "listFineTuningJobCheckpoints", "What is kept of its epochs.", TAG, kept, query=pages
        ),
        ("POST", "/v1/distillations"): Operation(
            "createDistillation",
            "Stored completions made training files, and a job that learns them.",
            TAG,
            {JSON: ref("Distillation")},
            body=ref("NewDistillation"),
        ),
    }


def schemas() -> dict[str, Schema]:
    """By name."""
    seconds = whole(0, LATEST)
    filters = {"model": text(), "metadata": ref("Metadata"), "created_after": seconds, "created_before": seconds}
    chosen = {**asked({}, {**filters, "limit": whole(10, 50_000)}), "additionalProperties": False}
    files = {"training_file": ref("FileId")}
    event = {"id": text(), "created_at": whole(), "level": text(("info", "warn", "error")), "message": text()}
    checkpoint = {"id": text(), "created_at": whole(), "fine_tuned_model_checkpoint": text(), "step_number": whole(0)}
    made = {"id": text(), "created_at": whole(), "examples": whole(0), "validation_examples": whole(0)}
    digest = {"training_file": text(), "training_file_sha256": text(), "validation_file": or_null(text())}
    examined = {name: or_null(text()) for name in ("eval_id", "eval_run_id", "report_url")}
    return {
        "NewJob": asked({"model": ref("ModelName"), **files}, {**_wishes(), "validation_file": ref("FileId")}),
        "NewDistillation": asked(
            {"stored_completions": chosen},
            {"model": ref("ModelName"), "validation_share": number(0, 0.5), **_wishes()},
        ),
        "Hyperparameters": asked(
            {},
            {
                "n_epochs": _auto(whole(1, 50)),
                "batch_size": _auto(whole(1, 256)),
                "learning_rate_multiplier": _auto({**number(None, 1e6), "exclusiveMinimum": 0}),
            },
        ),
        "DpoHyperparameters": asked(
            {}, {"n_epochs": _auto(whole(1, 50)), "beta": _auto({**number(None, 2), "exclusiveMinimum": 0})}
        ),
        "Teaching": _teaching(),
        "Job": _job(),
        "JobEvent": record(
            {
                "object": const("fine_tuning.job.event"),
                **event,
                "data": {"type": "object"},
                "type": text(("message", "metrics")),
            }
        ),
        "JobCheckpoint": record(
            {
                "object": const("fine_tuning.job.checkpoint"),
                **checkpoint,
                "fine_tuning_job_id": text(),
                "metrics": {"type": "object"},
            }
        ),
        "Distillation": record({"object": const("distillation"), **made, **digest, **examined, "job": ref("Job")}),
    }


def _wishes() -> dict[str, Schema]:
    """What may be said of a job beyond its model and files."""
    learnt = asked({}, {"hyperparameters": ref("Hyperparameters")})
    preferred = asked({}, {"hyperparameters": ref("DpoHyperparameters")})
    reported = asked({"type": const("wandb"), "wandb": asked({"project": text()}, {})}, {})
    suffix: Schema = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[^:]*$"}
    return {
        "method": either(
            asked({"type": const("supervised")}, {"supervised": learnt}),
            asked({"type": const("dpo")}, {"dpo": preferred}),
        ),
        "hyperparameters": ref("Hyperparameters"),
        "suffix": suffix,
        "seed": whole(0, LARGEST_SEED),
        "metadata": ref("Metadata"),
        "integrations": array(reported, most=5),
        "distillation": ref("Teaching"),
    }


def _teaching() -> Schema:
    """Our addition: a local teacher to match, or on `stillhouse/auto` the students that are tried."""
    how = {"objective": text(OBJECTIVES), "temperature": number(0.1, 100), "weight": number(0, 1)}
    taught = {**asked({"teacher": ref("ModelName")}, how), "additionalProperties": False}
    tried = {**asked({"students": array(text(), fewest=1)}, {}), "additionalProperties": False}
    return either(taught, tried)


def _job() -> Schema:
    absent: Schema = {"type": "null"}
    wrong = record({"code": or_null(text()), "message": text(), "param": or_null(text())})
    return record(
        {
            "object": const("fine_tuning.job"),
            "id": text(),
            "model": text(),
            "created_at": whole(),
            "finished_at": or_null(whole()),
            "fine_tuned_model": or_null(text()),
            "organization_id": text(),
            "result_files": array(text()),
            "status": text(STATUSES),
            "validation_file": or_null(text()),
            "training_file": text(),
            "hyperparameters": or_null({"type": "object"}),
            "trained_tokens": or_null(whole(0)),
            "error": or_null(wrong),
            "user_provided_suffix": or_null(text()),
            "seed": or_null(whole()),
            "estimated_finish": or_null(whole()),
            "integrations": array({"type": "object"}),
            "metadata": or_null(ref("Metadata")),
            "usage_metrics": absent,
            "shared_with_openai": const(False),
            "eval_id": or_null(text()),
            "method": {"type": "object", "required": ["type"]},
            "distillation": {"type": "object"},
        },
        ("distillation",),
    )


def _auto(schema: Schema) -> Schema:
    return either(schema, const("auto"))
