"""The JSON of distillations, our addition: stored completions chosen, made training rows, and learnt by a job."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, read_body
from stillhouse.wire.fine_tuning import NewJob, Progress, read_job, write_job
from stillhouse.wire.training_rows import FEWEST, MESSAGE_KEYS

__all__ = [
    "MOST",
    "NewDistillation",
    "is_held_out",
    "read_distillation",
    "too_few",
    "training_row",
    "write_distillation",
]

MOST = 50_000
"""Stored completions of one distillation."""
OWN = ("stored_completions", "validation_share")


@dataclass(frozen=True, slots=True)
class NewDistillation:
    """A distillation as it is asked for: which stored completions, and the job but for its files."""

    model: str | None
    metadata: Mapping[str, str]
    since: int | None
    until: int | None
    limit: int
    validation_share: float
    job: NewJob


def read_distillation(body: bytes, base: str) -> NewDistillation:
    """A distillation from a request, onto the model `base` where it names none; raises WireError."""
    fields = read_body(body)
    chosen = fields.inner("stored_completions")
    unknown = sorted(set(chosen.values) - {"model", "metadata", "created_after", "created_before", "limit"})
    if unknown:
        raise WireError(f"Unknown parameter: '{chosen.at(unknown[0])}'.", "unknown_parameter", chosen.at(unknown[0]))
    for name in ("training_file", "validation_file"):
        if fields.get(name) is not None:
            words = f"Unknown parameter: '{name}': the files are made of the stored completions."
            raise WireError(words, "unknown_parameter", name)
    share = fields.number("validation_share", low=0.0, high=0.5)
    job = {name: value for name, value in fields.values.items() if name not in OWN}
    job |= {"model": fields.text_or_none("model") or base, "training_file": "-"}
    return NewDistillation(
        model=chosen.text_or_none("model"),
        metadata=chosen.metadata(),
        since=chosen.whole("created_after", low=0),
        until=chosen.whole("created_before", low=0),
        limit=chosen.whole("limit", low=FEWEST, high=MOST) or MOST,
        validation_share=0.0 if share is None else share,
        job=read_job(orjson.dumps(job)),
    )


def training_row(messages: bytes, answer: bytes) -> dict[str, Any] | None:
    """A stored completion as a row of a training file; None where there is no whole answer to learn."""
    told = Fields(orjson.loads(answer))
    choices = cast(Sequence[Mapping[str, Any]], told.get("choices") or [])
    if not choices or choices[0].get("finish_reason") not in ("stop", "tool_calls", None):
        return None
    said = cast(Mapping[str, Any], choices[0].get("message") or {})
    if said.get("refusal") or not (said.get("content") or said.get("tool_calls")):
        return None
    kept = {name: said[name] for name in ("content", "tool_calls") if said.get(name)}
    asked = cast(list[Mapping[str, Any]], orjson.loads(messages))
    if not asked or not all(message.get("role") and _says(message) for message in asked):
        return None
    turns = [{key: value for key, value in each.items() if key in MESSAGE_KEYS and value is not None} for each in asked]
    for turn in turns:
        if turn["role"] == "assistant":
            turn["weight"] = 0  # what was said before is part of the question
    row: dict[str, Any] = {"messages": [*turns, {"role": "assistant", **kept}]}
    return row | ({"tools": told.get("tools")} if told.get("tools") else {})


def is_held_out(row: Mapping[str, Any], share: float) -> bool:
    """Whether a row belongs to the validation file: by its question alone, so that no question is in both files."""
    asked = orjson.dumps(row["messages"][:-1], option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.sha256(asked).digest()[:4], "big") < share * 2**32


def too_few(count: int) -> WireError:
    """The error for stored completions that are not enough."""
    words = f"Only {count} stored completions with a whole answer match; at least {FEWEST} are needed."
    return WireError(words, "invalid_n_examples", "stored_completions")


def write_distillation(job: tuple[str, int, NewJob, Progress], examples: int, held_out: int, digest: str) -> bytes:
    """The JSON of a distillation: its job, and how many examples its files have."""
    job_id, created, asked, _ = job
    shown = {
        "object": "distillation",
        "id": job_id,
        "created_at": created,
        "examples": examples,
        "validation_examples": held_out,
        "training_file": asked.training_file,
        "training_file_sha256": digest,
        "validation_file": asked.validation_file,
        "job": orjson.Fragment(write_job(*job)),
    }
    return orjson.dumps(shown)


def _says(message: Mapping[str, Any]) -> bool:
    return bool(message.get("content") or message.get("tool_calls") or message.get("function_call"))
