"""Items graded as evals grade: by comparisons, metrics, Python and formulas over them; no model is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stillhouse.chat import Answer, ChatCall
from stillhouse.data.items import Item
from stillhouse.errors import GraderError, UsageError
from stillhouse.evaluation.graders.build import Means, build_grader
from stillhouse.evaluation.graders.check import Known, check_grader
from stillhouse.evaluation.graders.grader import Grade, Grader
from stillhouse.evaluation.graders.sandbox import Sandbox
from stillhouse.generation.select import Sifted
from stillhouse.generation.templates import OF_ITEMS, item_values
from stillhouse.inference.sentence_vectors import SentenceVectors
from stillhouse.wire.errors import WireError
from stillhouse.wire.graders import GraderSpec, LabelModel, Multi, ScoreModel, read_grader
from stillhouse.wire.samples import Sample

__all__ = ["grade_items", "read_grader_file"]

FIELDS = (*OF_ITEMS, "messages", "metadata")
"""What a grader may name of an item, `{{item.truth}}` for instance."""
TOGETHER = 64
"""Items that are graded at once; sources in Python wait for each other besides."""
NOTHING = "nothing to grade: it has neither an answer nor a label"

Heard = Callable[[int], None]
"""Is told how many items were graded."""


def read_grader_file(path: Path) -> GraderSpec:
    """The grader in a JSON file, as evals write it; raises UsageError naming what cannot work, before anything runs."""
    try:
        value: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The grader {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The grader {path} is no JSON: {error}.") from error
    try:
        spec = read_grader(value, "grader", "api")
        asks = next((each for each in _flat(spec) if isinstance(each, LabelModel | ScoreModel)), None)
        if asks is not None:
            raise UsageError(
                f"{path}: the grader {asks.name!r} asks the model {asks.model!r}. Here graders ask nobody: models "
                "grade with `stillhouse generate judge`."
            )
        schema = {"properties": {name: {} for name in FIELDS}, "additionalProperties": False}
        check_grader(spec, "grader", _means(), Known(schema))
    except WireError as error:
        raise UsageError(f"{path}: {error}") from error
    return spec


def grade_items(items: Sequence[Item], spec: GraderSpec, heard: Heard = lambda done: None) -> Sifted:
    """Every item with its grade, 0..1; what could not be graded is left out with the reason.

    `{{sample.output_text}}` is the answer, or the label of an item that has no answer.
    """
    return asyncio.run(_graded(items, spec, heard))


async def _graded(items: Sequence[Item], spec: GraderSpec, heard: Heard) -> Sifted:
    grader = build_grader(spec, _means())
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for start in range(0, len(items), TOGETHER):
        batch = items[start : start + TOGETHER]
        grades = await asyncio.gather(*[_grade(grader, item) for item in batch])
        for item, grade in zip(batch, grades, strict=True):
            if isinstance(grade, str):
                dropped.append((item, grade))
            else:
                metadata = {**item.facts.metadata, "grader": grader.name}
                kept.append(replace(item, facts=replace(item.facts, grade=grade, metadata=metadata)))
        heard(start + len(batch))
    return Sifted(tuple(kept), tuple(dropped))


async def _grade(grader: Grader, item: Item) -> float | str:
    """An item's grade, or why it has none."""
    if not (item.answer or item.label):
        return NOTHING
    known = {name: value for name, value in item_values(item).items() if name in OF_ITEMS}
    about = {**known, "messages": list(item.messages), "metadata": dict(item.facts.metadata)}
    grade: Grade = await grader(about, _sample(item).variables)
    if grade.score is None:
        return f"not graded: {grade.reason}"
    return grade.score if 0 <= grade.score <= 1 else f"not graded: the score {grade.score:g} is not within 0..1"


def _sample(item: Item) -> Sample:
    """The answer as graders see it."""
    message = dict(item.answer or {"role": "assistant", "content": item.label})
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Sample(item.words or ("" if item.answer else item.label or ""), message, (choice,), item.facts.model, "stop")


def _means() -> Means:
    return Means(_nobody, SentenceVectors.open(), Sandbox())


async def _nobody(call: ChatCall) -> Answer:
    raise GraderError(f"Nobody is asked here, {call.model} neither.")


def _flat(spec: GraderSpec) -> Iterator[GraderSpec]:
    yield spec
    if isinstance(spec, Multi):
        yield from spec.graders.values()
