"""The page of an eval run: how often it passed, criterion by criterion, and the items that did not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stillhouse.evaluation.binomial import clopper_pearson
from stillhouse.reports import figures, pages
from stillhouse.storage.eval_records import StoredItem, StoredRun
from stillhouse.wire.evals import Eval
from stillhouse.wire.graders import write_grader

__all__ = ["render_run"]

CONFIDENCE = 0.95
MOST_RESULTS = 20
"""Criteria that are shown of one item."""


@dataclass(frozen=True)
class CriterionView:
    """One criterion: its name and type, and how many items passed, failed and errored."""

    name: str
    kind: str
    passed: int
    failed: int
    errored: int


@dataclass(frozen=True)
class ResultView:
    """What one criterion said of one item."""

    name: str
    passed: bool
    score: str
    reason: str


@dataclass(frozen=True)
class ItemView:
    """One item that did not pass."""

    row: int
    status: str
    item: str
    answer: str
    error: str
    results: tuple[ResultView, ...]


def render_run(of: Eval, run: StoredRun, items: Sequence[StoredItem]) -> str:
    """The page as HTML that needs nothing beside it; `items` are some that did not pass. Foreign text is escaped."""
    passed, failed, errored = run.counts.items
    graded = passed + failed
    names = {one.id: one.grader.name for one in of.criteria}
    page = pages.open_template("eval_run.html.jinja", autoescape=True, filters={"excerpt": _excerpt})
    return page.render(
        of=of,
        run=run,
        headline=_headline(run),
        passed=passed,
        failed=failed,
        errored=errored,
        share=passed / graded if graded else None,
        interval=clopper_pearson(passed, graded, CONFIDENCE) if graded else None,
        created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.created)),
        criteria=_criteria(of, run),
        usage=sorted(run.counts.usage.items()),
        items=[_item(orjson.loads(item.content), names) for item in items],
        more=failed + errored - len(items),
    )


def _headline(run: StoredRun) -> str:
    passed, failed, errored = run.counts.items
    total = passed + failed + errored
    match run.status:
        case "queued":
            return "The run waits to be begun"
        case "in_progress":
            return f"The run goes on: {figures.count(passed)} of {figures.count(total)} items have passed so far"
        case "failed":
            return "The run failed"
        case "canceled":
            return f"The run was cancelled after {figures.count(total)} {'item' if total == 1 else 'items'}"
        case _:
            return f"{figures.count(passed)} of {figures.count(total)} {'item' if total == 1 else 'items'} passed"


def _criteria(of: Eval, run: StoredRun) -> list[CriterionView]:
    found = [(one, run.counts.criteria.get(one.id, (0, 0, 0))) for one in of.criteria]
    return [CriterionView(one.grader.name, write_grader(one.grader)["type"], *told) for one, told in found]


def _item(told: Mapping[str, Any], names: Mapping[str, str]) -> ItemView:
    sample = told["sample"]
    answers = [_said(message) for message in sample["output"]]
    results = [_result(result, names) for result in told["results"][:MOST_RESULTS]]
    return ItemView(
        row=told["datasource_item_id"],
        status=told["status"],
        item=orjson.dumps(told["datasource_item"], option=orjson.OPT_INDENT_2).decode(),
        answer="\n".join(answers),
        error=sample["error"]["message"] if sample["error"] else "",
        results=tuple(results),
    )


def _said(message: Mapping[str, Any]) -> str:
    """A message's words, else the calls that it makes."""
    if message.get("content"):
        return message["content"]
    return orjson.dumps(message["tool_calls"]).decode() if message.get("tool_calls") else ""


def _result(told: Mapping[str, Any], names: Mapping[str, str]) -> ResultView:
    score = "no score" if told["score"] is None else f"{told['score']:.4g}"
    reason = told["error"]["message"] if told.get("error") else _conclusion(told.get("sample"))
    return ResultView(names.get(told["name"], told["name"]), told["passed"], score, reason)


def _conclusion(sample: Mapping[str, Any] | None) -> str:
    """What a judge concluded last; empty where nobody judged, or said nothing."""
    if sample is None:
        return ""
    try:
        return str(orjson.loads(sample["output"][0]["content"])["steps"][-1]["conclusion"])
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        return ""


def _excerpt(text: str, limit: int) -> str:
    """The start of a text, its line ends kept."""
    text = figures.printable(text).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
