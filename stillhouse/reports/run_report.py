"""The report of a run: one HTML file that needs nothing beside it."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from stillhouse.reports import charts, figures, pages, sentences
from stillhouse.reports.costs import CostRecord
from stillhouse.reports.record import LabelBalance, RunRecord

__all__ = ["render"]

MOST_BARS = 20
MOST_PAIRS = 10


@dataclass(frozen=True)
class Bar:
    """One label of a balance: how often it was given, its share, and its bar's width in percent."""

    label: str
    count: int
    share: float
    width: float


@dataclass(frozen=True)
class BalanceView:
    """The commonest labels of a field and what the others add up to."""

    field: str | None
    labels: int
    bars: tuple[Bar, ...]
    more: int
    more_share: float


def render(record: RunRecord) -> str:
    """The whole report as HTML; every text that came from outside is escaped."""
    certificate, costs = record.certificate, record.costs
    goal = 1 - certificate.margin if certificate.paired is None else None
    bill = costs.student if certificate.non_inferior else costs.cascade
    filters = {"excerpt": _excerpt, "percent": _percent, "tidy": _tidy, "whole_percent": _whole_percent}
    page = pages.open_template("report.html.jinja", autoescape=True, filters=filters)
    return page.render(
        record=record,
        verdict=sentences.verdict_sentence(certificate),
        promise=sentences.cascade_promise(certificate.cascade, certificate.non_inferior),
        measured=sentences.cascade_measured(certificate.cascade),
        paired=sentences.paired_sentence(certificate),
        advice=sentences.advice(record),
        headline_bill=bill,
        saved=bill.saved_against(costs.teacher),
        costs_basis=_costs_basis(costs),
        pareto=partial(charts.pareto, record.rungs, record.chosen, goal),
        risk_coverage=partial(charts.risk_coverage, record.curve, certificate.cascade),
        reliability=partial(charts.reliability, record.reliability),
        balances=[_balance_view(each) for each in record.data.balance],
        most_pairs=MOST_PAIRS,
        bundle_argument=shlex.quote(figures.printable(record.run.bundle)),
        model_argument=json.dumps(figures.printable(record.manifest.name), ensure_ascii=False),
        provenance=list(_flatten({**record.manifest.run, **certificate.provenance})),
    )


def _percent(share: float, digits: int = 1) -> str:
    return _tidy(figures.percent(share, digits))


def _whole_percent(share: float) -> str:
    return _tidy(figures.whole_percent(share))


def _tidy(words: str) -> str:
    """A sentence whose percent signs stay on the line of their numbers."""
    return re.sub(r"(\d) ?%", "\\1\u00a0%", words)


def _excerpt(text: str, limit: int) -> str:
    """The start of a text, its line ends kept."""
    text = figures.printable(text).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _balance_view(balance: LabelBalance) -> BalanceView:
    total = max(sum(balance.counts), 1)
    ranked = sorted(zip(balance.labels, balance.counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
    largest = max(ranked[0][1], 1) if ranked else 1
    bars = tuple(Bar(label, n, n / total, round(100 * n / largest, 1)) for label, n in ranked[:MOST_BARS])
    rest = ranked[MOST_BARS:]
    return BalanceView(balance.field, len(ranked), bars, len(rest), sum(n for _, n in rest) / total)


def _costs_basis(costs: CostRecord) -> str:
    """Method and assumptions, in words."""
    assumed, call = costs.assumptions, costs.call
    known = "estimated at four characters to a token" if call.estimated else "as recorded"
    seconds = f"{1000 * costs.core_seconds_per_answer:.3g} core-milliseconds" if _known(costs) else "an unknown time"
    return (
        f"Measured: the student needs {seconds} per answer, from its throughput on all cores. Assumed: a core costs "
        f"${assumed.usd_per_vcpu_hour:g} an hour and draws {assumed.watts_per_core:g} W; the teacher costs "
        f"${assumed.usd_per_million_input:.2f} per million tokens read and ${assumed.usd_per_million_output:.2f} per "
        f"million written, for {call.prompt_tokens:.0f} and {call.answer_tokens:.0f} tokens a call ({known}), and "
        f"takes {assumed.teacher_wh_per_call:g} Wh a call, an often quoted order of magnitude that may be several "
        "times off. With the teacher for the rest, the student looks at every call and keeps "
        f"{figures.percent(costs.share_kept, 0)} of them. A server that waits costs money too; training and the people "
        "around it are not counted."
    )


def _known(costs: CostRecord) -> bool:
    return math.isfinite(costs.core_seconds_per_answer)


def _flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as lines: `splits › train`, `1200`."""
    for key, value in values.items():
        name = f"{above} › {key}" if above else str(key)
        if isinstance(value, dict):
            yield from _flatten(cast(dict[str, Any], value), name)
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
