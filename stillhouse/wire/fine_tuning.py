"""The JSON of fine-tuning: jobs as they are asked for and shown, with their events and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import orjson

from stillhouse.wire.errors import Unsupported, WireError
from stillhouse.wire.fields import Fields, missing, one_of, read_body, wrong_value

__all__ = [
    "LARGEST_SEED",
    "OBJECTIVES",
    "ORGANIZATION",
    "CheckpointView",
    "Distillation",
    "EventView",
    "Exam",
    "Hyperparameters",
    "Method",
    "NewJob",
    "Progress",
    "Settled",
    "read_job",
    "read_kept_job",
    "unknown_job",
    "write_checkpoints",
    "write_events",
    "write_job",
    "write_jobs",
    "write_request",
]

Method = Literal["supervised", "dpo"]
METHODS = ("supervised", "dpo", "reinforcement")
AUTO = "auto"
ORGANIZATION = "org-local"
LARGEST_SEED = 2**31 - 1
OBJECTIVES = (
    "forward_kl",
    "reverse_kl",
    "jensen_shannon",
    "skewed_forward_kl",
    "skewed_reverse_kl",
    "total_variation",
)
"""What a student may be asked to match of a teacher whose scores are seen."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What was asked for; None where it is to be found out (`auto`)."""

    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a job learns with."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Distillation:
    """Our addition: a local teacher whose scores the student matches beside the words of the file.

    On `stillhouse/auto` it names no teacher, but the students that are tried instead of all.
    """

    teacher: str | None = None
    students: tuple[str, ...] = ()
    objective: str = "forward_kl"
    temperature: float = 1.0
    weight: float = 0.8
    """How much of the loss is the objective; the rest is the words."""


@dataclass(frozen=True, slots=True)
class Exam:
    """An eval that a job's model is asked once it is there: the run that is to be made, and its file of rows."""

    eval_id: str
    run_id: str
    token: str
    """Whoever has it may read the run's page."""
    file: str
    longest: int
    """The most tokens of an answer."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is asked for."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: Method = "supervised"
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    suffix: str | None = None
    seed: int | None = None
    metadata: Mapping[str, str] | None = None
    integrations: Sequence[Mapping[str, Any]] = ()
    distillation: Distillation | None = None
    exam: Exam | None = None
    """Never a client's own."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `error` has `code`, `message` and `param`. Times are in Unix seconds."""

    status: str
    settled: Settled | None = None
    finished: int | None = None
    estimated: int | None = None
    model: str | None = None
    tokens: int | None = None
    result_file: str | None = None
    error: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that happened in a job; `data` is JSON."""

    id: str
    created: int
    level: str
    message: str
    data: bytes | None
    metrics: bool


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """What a job keeps of an epoch; `metrics` is JSON."""

    id: str
    created: int
    job: str
    step: int
    model: str
    metrics: bytes


def read_job(body: bytes) -> NewJob:
    """A job from a request; raises WireError."""
    fields = read_body(body)
    model, training_file = fields.text("model"), fields.text("training_file")
    method, inner = _method(fields)
    suffix = fields.text_or_none("suffix", longest=64)
    if suffix is not None and (not suffix or ":" in suffix or not suffix.isprintable()):
        raise wrong_value("suffix", "it must have 1 to 64 printable characters, without a colon")
    return NewJob(
        model=model,
        training_file=training_file,
        validation_file=fields.text_or_none("validation_file"),
        method=method,
        hyperparameters=_hyperparameters(inner, method),
        suffix=suffix,
        seed=fields.whole("seed", low=0, high=LARGEST_SEED),
        metadata=fields.metadata() if fields.get("metadata") is not None else None,
        integrations=_integrations(fields),
        distillation=_distillation(fields, method),
    )


def read_kept_job(content: bytes) -> NewJob:
    """A job as `write_request` wrote it."""
    exam = orjson.loads(content).get("exam")
    return replace(read_job(content), exam=Exam(**exam) if exam else None)


def write_request(job: NewJob) -> bytes:
    """A job as JSON that `read_kept_job` reads."""
    body: dict[str, Any] = {
        "model": job.model,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "method": {"type": job.method, job.method: {"hyperparameters": _shown(job.hyperparameters, job.method)}},
        "suffix": job.suffix,
        "seed": job.seed,
        "metadata": job.metadata,
        "integrations": list(job.integrations),
    }
    if job.distillation:
        body["distillation"] = _distillation_shown(job.distillation)
    if job.exam:
        body["exam"] = asdict(job.exam)
    return orjson.dumps(body)


def write_job(job_id: str, created: int, job: NewJob, progress: Progress) -> bytes:
    """The JSON of a job."""
    return orjson.dumps(_job(job_id, created, job, progress))


def write_jobs(jobs: Sequence[tuple[str, int, NewJob, Progress]], has_more: bool) -> bytes:
    """A page of jobs."""
    return orjson.dumps({"object": "list", "data": [_job(*job) for job in jobs], "has_more": has_more})


def write_events(events: Sequence[EventView], has_more: bool) -> bytes:
    """A page of events."""
    data: list[dict[str, Any]] = [
        {
            "object": "fine_tuning.job.event",
            "id": event.id,
            "created_at": event.created,
            "level": event.level,
            "message": event.message,
            "data": orjson.loads(event.data) if event.data else {},
            "type": "metrics" if event.metrics else "message",
        }
        for event in events
    ]
    return orjson.dumps({"object": "list", "data": data, "has_more": has_more})


def write_checkpoints(checkpoints: Sequence[CheckpointView], has_more: bool) -> bytes:
    """A page of checkpoints."""
    data = [
        {
            "object": "fine_tuning.job.checkpoint",
            "id": checkpoint.id,
            "created_at": checkpoint.created,
            "fine_tuned_model_checkpoint": checkpoint.model,
            "fine_tuning_job_id": checkpoint.job,
            "metrics": orjson.loads(checkpoint.metrics),
            "step_number": checkpoint.step,
        }
        for checkpoint in checkpoints
    ]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": has_more})


def unknown_job(job_id: str) -> WireError:
    """The error for a job that is not there."""
    return WireError(f"Could not find fine tune: {job_id[:80]}", "fine_tune_not_found", "fine_tuning_job_id", 404)


def _method(fields: Fields) -> tuple[Method, Fields]:
    """The method, and the object that has its hyperparameters."""
    if fields.get("method") is None:
        return "supervised", fields
    method = fields.inner("method")
    kind = method.choice("type", METHODS)
    if kind == "reinforcement":
        words = "Reinforcement fine-tuning is not done here; the methods are 'supervised' and 'dpo'."
        raise Unsupported(words, "method.type")
    inner = method.inner_or_empty(kind)
    if kind == "supervised":
        return "supervised", inner if inner.get("hyperparameters") is not None else fields
    return "dpo", inner


def _hyperparameters(inner: Fields, method: Method) -> Hyperparameters:
    found = inner.inner_or_empty("hyperparameters")
    values = Fields({name: value for name, value in found.values.items() if value != AUTO}, found.at("")[:-1])
    multiplier = values.number("learning_rate_multiplier", high=1e6)
    if multiplier is not None and multiplier <= 0:
        raise wrong_value(values.at("learning_rate_multiplier"), "it must be above 0")
    beta = values.number("beta", high=2) if method == "dpo" else None
    if beta is not None and beta <= 0:
        raise wrong_value(values.at("beta"), "it must be above 0")
    return Hyperparameters(
        n_epochs=values.whole("n_epochs", low=1, high=50),
        batch_size=values.whole("batch_size", low=1, high=256),
        learning_rate_multiplier=multiplier,
        beta=beta,
    )


def _integrations(fields: Fields) -> tuple[Mapping[str, Any], ...]:
    """Integrations as they were given: they are echoed, and nothing is sent anywhere."""
    if fields.get("integrations") is None:
        return ()
    found: list[Mapping[str, Any]] = []
    for value, path in fields.items("integrations"):
        one = Fields(value, path)
        one_of(one.need("type"), ["wandb"], one.at("type"))
        one.inner("wandb").text("project")
        found.append(one.values)
    if len(found) > 5:
        words = f"Invalid 'integrations': expected at most 5 elements, but got {len(found)}."
        raise WireError(words, "array_above_max_length", "integrations")
    return tuple(found)


def _distillation(fields: Fields, method: Method) -> Distillation | None:
    if fields.get("distillation") is None:
        return None
    if method != "supervised":
        raise wrong_value("distillation", "a teacher's scores are matched by the method 'supervised' alone")
    inner = fields.inner("distillation")
    unknown = sorted(set(inner.values) - {"teacher", "students", "objective", "temperature", "weight"})
    if unknown:
        raise WireError(f"Unknown parameter: '{inner.at(unknown[0])}'.", "unknown_parameter", inner.at(unknown[0]))
    if inner.get("students") is not None:
        return Distillation(students=inner.texts("students", fewest=1))
    if inner.get("teacher") is None:
        raise missing(inner.at("teacher"))
    objective = inner.choice("objective", OBJECTIVES) if inner.get("objective") is not None else "forward_kl"
    temperature = inner.number("temperature", low=0.1, high=100)
    weight = inner.number("weight", low=0.0, high=1.0)
    return Distillation(
        teacher=inner.text("teacher"),
        objective=objective,
        temperature=1.0 if temperature is None else temperature,
        weight=0.8 if weight is None else weight,
    )


def _shown(values: Hyperparameters | Settled, method: Method) -> dict[str, Any]:
    found: dict[str, Any] = {
        "n_epochs": values.n_epochs,
        "batch_size": values.batch_size,
        "learning_rate_multiplier": values.learning_rate_multiplier,
    }
    if method == "dpo":
        found["beta"] = values.beta
    return {name: AUTO if value is None else value for name, value in found.items()}


def _distillation_shown(distillation: Distillation) -> dict[str, Any]:
    if distillation.students:
        return {"students": list(distillation.students)}
    return {
        "teacher": distillation.teacher,
        "objective": distillation.objective,
        "temperature": distillation.temperature,
        "weight": distillation.weight,
    }


def _job(job_id: str, created: int, job: NewJob, progress: Progress) -> dict[str, Any]:
    hyperparameters = _shown(progress.settled or job.hyperparameters, job.method)
    shown: dict[str, Any] = {
        "object": "fine_tuning.job",
        "id": job_id,
        "model": job.model,
        "created_at": created,
        "finished_at": progress.finished,
        "fine_tuned_model": progress.model,
        "organization_id": ORGANIZATION,
        "result_files": [progress.result_file] if progress.result_file else [],
        "status": progress.status,
        "validation_file": job.validation_file,
        "training_file": job.training_file,
        "hyperparameters": hyperparameters if job.method == "supervised" else None,
        "trained_tokens": progress.tokens,
        "error": progress.error,
        "user_provided_suffix": job.suffix,
        "seed": job.seed,
        "estimated_finish": progress.estimated,
        "integrations": list(job.integrations),
        "metadata": job.metadata,
        "usage_metrics": None,
        "shared_with_openai": False,
        "eval_id": job.exam.eval_id if job.exam else None,
        "method": {"type": job.method, job.method: {"hyperparameters": hyperparameters}},
    }
    if job.distillation:
        shown["distillation"] = _distillation_shown(job.distillation)
    return shown
