"""The JSON of distillations, our addition: stored completions chosen, made training rows, and learnt by a job."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, read_body
from stillhouse.wire.fine_tuning import NewJob, Progress, read_job, write_job
from stillhouse.wire.training_rows import FEWEST, MESSAGE_KEYS, MODEL

__all__ = [
    "LATEST",
    "MOST",
    "NewDistillation",
    "hold_out",
    "read_distillation",
    "too_few",
    "training_row",
    "write_distillation",
]

Row = Mapping[str, Any]

HELD_OUT = 0.1
"""The share of rows that is held out of what a language model learns, unless told otherwise."""
MOST = 50_000
"""Stored completions of one distillation."""
LATEST = 2**53
"""Unix seconds that are compared with."""
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
    """A distillation from a request, onto the ladder `base` where it names no model; raises WireError.

    The ladder holds out a part of its own, so that only of other models' rows some are held out unless told otherwise.
    """
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
        since=chosen.whole("created_after", low=0, high=LATEST),
        until=chosen.whole("created_before", low=0, high=LATEST),
        limit=chosen.whole("limit", low=FEWEST, high=MOST) or MOST,
        validation_share=share if share is not None else 0.0 if job["model"] == base else HELD_OUT,
        job=read_job(orjson.dumps(job)),
    )


def training_row(messages: bytes, answer: bytes, model: str | None = None) -> dict[str, Any] | None:
    """A stored completion as a row of a training file; None where there is no whole answer to learn.

    `model` is the one that answered, by which terms are found.
    """
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
    row |= {"tools": told.get("tools")} if told.get("tools") else {}
    return row | ({MODEL: model} if model else {})


def hold_out(rows: Sequence[Row], share: float) -> tuple[list[Row], list[Row]]:
    """The rows to learn, and a share of them for the validation file: by their questions, so that none is in both.

    Whenever a share is wanted it is a row at least; but never are fewer rows left to learn than are needed.
    """
    alike: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        asked = orjson.dumps(row["messages"][:-1], option=orjson.OPT_SORT_KEYS)
        alike.setdefault(hashlib.sha256(asked).digest(), []).append(number)
    room = min(math.ceil(len(rows) * share), len(rows) - FEWEST)
    held: set[int] = set()
    for _, numbers in sorted(alike.items()):
        if len(held) + len(numbers) <= room:
            held.update(numbers)
    learnt = [row for number, row in enumerate(rows) if number not in held]
    return learnt, [rows[number] for number in sorted(held)]


def too_few(count: int) -> WireError:
    """The error for stored completions that are not enough."""
    words = f"Only {count} stored completions with a whole answer match; at least {FEWEST} are needed."
    return WireError(words, "invalid_n_examples", "stored_completions")


def write_distillation(
    job: tuple[str, int, NewJob, Progress], counts: tuple[int, int], digest: str, report_url: str | None
) -> bytes:
    """The JSON of a distillation: its job, how many examples its files have, and where its eval can be looked at."""
    job_id, created, asked, _ = job
    shown = {
        "object": "distillation",
        "id": job_id,
        "created_at": created,
        "examples": counts[0],
        "validation_examples": counts[1],
        "training_file": asked.training_file,
        "training_file_sha256": digest,
        "validation_file": asked.validation_file,
        "eval_id": asked.exam.eval_id if asked.exam else None,
        "eval_run_id": asked.exam.run_id if asked.exam else None,
        "report_url": report_url,
        "job": orjson.Fragment(write_job(*job)),
    }
    return orjson.dumps(shown)


def _says(message: Mapping[str, Any]) -> bool:
    return bool(message.get("content") or message.get("tool_calls") or message.get("function_call"))
