"""The JSON of evals, their runs and output items, both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from stillhouse.wire.data_sources import DataSource, read_data_source
from stillhouse.wire.fields import Fields, read_body
from stillhouse.wire.graders import GraderSpec, read_grader, write_grader
from stillhouse.wire.item_schema import ItemSchema
from stillhouse.wire.samples import Tokens

__all__ = [
    "Config",
    "Counts",
    "Criterion",
    "Eval",
    "NewEval",
    "NewRun",
    "OutputItem",
    "Progress",
    "Result",
    "Run",
    "RunStatus",
    "read_eval",
    "read_eval_update",
    "read_run",
    "restore_eval",
    "write_eval",
    "write_eval_deleted",
    "write_output_item",
    "write_run",
    "write_run_deleted",
]

RunStatus = Literal["queued", "in_progress", "completed", "failed", "canceled"]

CONFIGS = ("custom", "logs", "stored_completions")
STORED: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "array", "items": {"type": "object"}}},
    "required": ["input"],
}
"""The items made of stored completions."""
SAMPLE: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "output_text": {"type": "string"},
        "output_json": {},
        "output_tools": {"type": "array", "items": {"type": "object"}},
        "choices": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["output_text"],
}
"""What is known of a sample."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the items of an eval are: of a schema of its own, or made of stored completions."""

    kind: Literal["custom", "logs", "stored_completions"]
    item_schema: Mapping[str, Any]
    sample: bool
    """Whether there are samples to grade."""
    metadata: Mapping[str, str]
    """Filters of stored completions."""


@dataclass(frozen=True, slots=True)
class NewEval:
    """An eval as it is asked for."""

    name: str | None
    config: Config
    criteria: tuple[GraderSpec, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A grader with the id that results speak of, its name and a UUID."""

    id: str
    grader: GraderSpec


@dataclass(frozen=True, slots=True)
class Eval:
    """An eval that exists; `created_at` is in Unix seconds."""

    id: str
    name: str
    created_at: int
    config: Config
    criteria: tuple[Criterion, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it is asked for."""

    name: str | None
    source: DataSource
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that exists, as far as it does not change."""

    id: str
    eval_id: str
    name: str
    model: str | None
    created_at: int
    source: Mapping[str, Any]
    metadata: Mapping[str, str]
    report_url: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Items that are done: each passed, failed or errored."""

    passed: int = 0
    failed: int = 0
    errored: int = 0

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errored


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    status: RunStatus
    counts: Counts
    criteria: Mapping[str, Counts]
    """By the criterion's id."""
    usage: Mapping[str, tuple[int, Tokens]]
    """By the model that answered or judged: how often, and for how many tokens."""
    error: tuple[str, str] | None = None
    """The code and the words of what ended a run that failed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one criterion said of one item."""

    criterion: str
    """Its id."""
    kind: str
    """The grader's type."""
    score: float | None
    """None where the grader could not tell."""
    passed: bool
    sample: Mapping[str, Any] | None = None
    """What the judge was asked and answered, where there is one."""
    error: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class OutputItem:
    """One item that is done."""

    id: str
    run_id: str
    eval_id: str
    created_at: int
    row: int
    """The row of the source it comes from, counted from 0."""
    item: Mapping[str, Any]
    status: Literal["pass", "fail", "error"]
    results: tuple[Result, ...]
    sample: Mapping[str, Any]


def read_eval(body: bytes) -> NewEval:
    """An eval that is to be made; raises WireError with the path of what is wrong."""
    fields = read_body(body)
    config = _read_config(fields.inner("data_source_config"))
    criteria = fields.items("testing_criteria", fewest=1)
    graders = tuple([read_grader(criterion, path, "eval") for criterion, path in criteria])
    return NewEval(fields.text_or_none("name"), config, graders, fields.metadata())


def read_eval_update(body: bytes) -> tuple[str | None, Mapping[str, str] | None]:
    """The new name and metadata of an eval, None where they stay; raises WireError."""
    fields = read_body(body)
    return fields.text_or_none("name"), fields.metadata() if fields.get("metadata") is not None else None


def read_run(body: bytes, config: Config) -> NewRun:
    """A run that is to be made of an eval with some config; raises WireError, naming the row that does not fit."""
    fields = read_body(body)
    schema = ItemSchema(config.item_schema, "item_schema") if config.kind == "custom" else None
    source = read_data_source(fields.need("data_source"), "data_source", schema)
    return NewRun(fields.text_or_none("name"), source, fields.metadata())


def write_eval(one: Eval) -> dict[str, Any]:
    """The JSON of an eval."""
    return {
        "object": "eval",
        "id": one.id,
        "name": one.name,
        "created_at": one.created_at,
        "data_source_config": _write_config(one.config),
        "testing_criteria": [{**write_grader(criterion.grader), "id": criterion.id} for criterion in one.criteria],
        "metadata": dict(one.metadata),
    }


def restore_eval(written: Mapping[str, Any]) -> Eval:
    """An eval from the JSON that `write_eval` gave, for those who keep it so; raises WireError when it is none."""
    fields = Fields(dict(written))
    config = fields.inner("data_source_config")
    parts = config.inner("schema").inner("properties")
    kind = cast(Literal["custom", "logs", "stored_completions"], config.choice("type", CONFIGS))
    criteria = [
        Criterion(Fields(one, path).text("id"), read_grader(one, path, "eval"))
        for one, path in fields.items("testing_criteria")
    ]
    return Eval(
        id=fields.text("id"),
        name=fields.text("name"),
        created_at=fields.whole("created_at") or 0,
        config=Config(kind, parts.inner("item").values, parts.get("sample") is not None, config.metadata()),
        criteria=tuple(criteria),
        metadata=fields.metadata(),
    )


def write_eval_deleted(eval_id: str) -> dict[str, Any]:
    """What tells that an eval is gone."""
    return {"object": "eval.deleted", "deleted": True, "eval_id": eval_id}


def write_run(run: Run, progress: Progress) -> dict[str, Any]:
    """The JSON of a run."""
    counts = progress.counts
    return {
        "object": "eval.run",
        "id": run.id,
        "eval_id": run.eval_id,
        "report_url": run.report_url,
        "status": progress.status,
        "model": run.model,
        "name": run.name,
        "created_at": run.created_at,
        "result_counts": {"total": counts.total, **_counts(counts)},
        "per_model_usage": [_usage(model, *told) for model, told in progress.usage.items()],
        "per_testing_criteria_results": [
            {"testing_criteria": criterion, **_counts(told)} for criterion, told in progress.criteria.items()
        ],
        "data_source": dict(run.source),
        "error": _error(progress.error),
        "metadata": dict(run.metadata),
    }


def write_run_deleted(run_id: str) -> dict[str, Any]:
    """What tells that a run is gone."""
    return {"object": "eval.run.deleted", "deleted": True, "run_id": run_id}


def write_output_item(one: OutputItem) -> dict[str, Any]:
    """The JSON of an item that is done; a criterion that could not tell has a null score and an error."""
    return {
        "object": "eval.run.output_item",
        "id": one.id,
        "created_at": one.created_at,
        "run_id": one.run_id,
        "eval_id": one.eval_id,
        "status": one.status,
        "datasource_item_id": one.row,
        "datasource_item": dict(one.item),
        "results": [_result(result) for result in one.results],
        "sample": dict(one.sample),
    }


def _read_config(fields: Fields) -> Config:
    kind = fields.choice("type", CONFIGS)
    if kind != "custom":
        return Config(cast(Literal["logs", "stored_completions"], kind), STORED, True, fields.metadata())
    schema = fields.inner("item_schema").values
    ItemSchema(schema, fields.at("item_schema"))
    return Config("custom", schema, fields.flag("include_sample_schema"), {})


def _write_config(config: Config) -> dict[str, Any]:
    parts = {"item": config.item_schema, **({"sample": SAMPLE} if config.sample else {})}
    schema = {"type": "object", "properties": parts, "required": list(parts)}
    metadata = {} if config.kind == "custom" else {"metadata": dict(config.metadata)}
    return {"type": config.kind, **metadata, "schema": schema}


def _counts(counts: Counts) -> dict[str, int]:
    return {"errored": counts.errored, "failed": counts.failed, "passed": counts.passed}


def _usage(model: str, invocations: int, tokens: Tokens) -> dict[str, Any]:
    return {
        "model_name": model,
        "invocation_count": invocations,
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
        "cached_tokens": tokens.cached,
    }


def _error(error: Sequence[str] | None) -> dict[str, str] | None:
    return None if error is None else {"code": error[0], "message": error[1]}


def _result(result: Result) -> dict[str, Any]:
    told = {"name": result.criterion, "type": result.kind, "passed": result.passed, "score": result.score}
    sample = None if result.sample is None else dict(result.sample)
    return {**told, "sample": sample, **({"error": _error(result.error)} if result.error else {})}
