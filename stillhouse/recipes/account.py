"""The record of a finished run, put together for the report and the model card."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.manifest import Manifest
from stillhouse.data.traffic import Traffic
from stillhouse.data.understand import describe_answer, describe_prompt
from stillhouse.evaluation.calibration import reliability
from stillhouse.evaluation.fidelity import measure_fidelity
from stillhouse.evaluation.selective import risk_coverage
from stillhouse.models.devices import Hardware
from stillhouse.recipes.material import Material
from stillhouse.recipes.measure import Measured, Said, judge
from stillhouse.recipes.provenance import versions
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.reports.costs import CallSize, CostAssumptions, account, estimate_call
from stillhouse.reports.record import (
    Confusion,
    Curve,
    DataRecord,
    Example,
    LabelBalance,
    ReliabilityBin,
    RowCounts,
    RunFacts,
    RunRecord,
)

__all__ = ["Facts", "keep_record"]

POINTS = 200
"""Points of the risk-coverage curve that are kept."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run beside its results."""

    recipe: DistillRecipe
    material: Material
    hardware: Hardware
    seconds: float
    command: str


def keep_record(
    facts: Facts, manifest: Manifest, certificate: Certificate, ladder: Sequence[Measured], said: Said
) -> RunRecord:
    """Everything that the report shows; `said` is what the chosen student answers to the sealed part."""
    material = facts.material
    judged = judge(said, material.test)
    chosen = next(rung.record for rung in ladder if rung.record.name == manifest.student)
    kept = 1.0 if certificate.non_inferior else certificate.cascade.coverage
    prices = facts.recipe.prices
    assumptions = CostAssumptions(usd_per_million_input=prices.input, usd_per_million_output=prices.output)
    cores = facts.hardware.threads
    coverage, disagreement = risk_coverage(judged.correct, judged.confidence)
    picked = np.unique(np.linspace(0, len(coverage) - 1, POINTS).round().astype(int)) if len(coverage) else []
    return RunRecord(
        manifest=manifest,
        certificate=certificate,
        rungs=tuple(rung.record for rung in ladder),
        chosen=manifest.student,
        data=_data(facts.recipe, material),
        costs=account(_call(material.traffic), chosen.speed.throughput_per_s, cores, kept, assumptions),
        run=_run(facts),
        confusions=_confusions(material, said),
        curve=Curve(tuple(coverage[picked].tolist()), tuple(disagreement[picked].tolist())),
        reliability=tuple(
            ReliabilityBin(each.confidence, each.accuracy, each.rows)
            for each in reliability(judged.confidence, judged.correct)
        ),
    )


def _data(recipe: DistillRecipe, material: Material) -> DataRecord:
    traffic, report = material.traffic, material.split.report
    counts, labels = traffic.counts, traffic.labels
    balance = tuple(
        LabelBalance(
            field.name,
            tuple(field.show(index) for index in range(len(field.labels))),
            tuple(np.bincount(labels[labels[:, at] >= 0, at], minlength=len(field.labels)).tolist()),
        )
        for at, field in enumerate(traffic.answer.fields)
    )
    return DataRecord(
        files=tuple(path.name for path in (*recipe.traffic, *([recipe.holdout] if recipe.holdout else []))),
        rows=RowCounts(
            counts.read,
            counts.used,
            counts.unanswered,
            counts.bad,
            report.kept_together,
            report.holdout_leaks,
            material.outside,
        ),
        splits=report.rows,
        balance=balance,
        prompt=" ".join(describe_prompt(traffic.prompt)),
        answer=" ".join(describe_answer(traffic.answer)),
        examples=_examples(traffic),
    )


def _examples(traffic: Traffic) -> tuple[Example, ...]:
    """One call of each of the three commonest answers."""
    answered = np.flatnonzero((traffic.labels >= 0).all(axis=1))
    kinds, first, uses = np.unique(traffic.labels[answered], axis=0, return_index=True, return_counts=True)
    return tuple(
        Example(traffic.texts[answered[first[at]]], "".join(traffic.answer.write(kinds[at].tolist())))
        for at in np.argsort(-uses, kind="stable")[:3]
    )


def _call(traffic: Traffic) -> CallSize:
    """The size of a mean call: the constant part of the prompt, the text that varies, and the answer."""
    prompt = traffic.prompt
    constant = sum(len(message.content) for message in prompt.leading) + len(prompt.prefix) + len(prompt.suffix)
    some = traffic.texts[:: max(1, len(traffic.texts) // 2_000)]
    answered = traffic.labels[(traffic.labels >= 0).all(axis=1)][:2_000]
    answers = [len("".join(traffic.answer.write(row.tolist()))) for row in answered]
    return estimate_call(constant + float(np.mean([len(text) for text in some])), float(np.mean(answers)))


def _confusions(material: Material, said: Said) -> tuple[Confusion, ...]:
    fidelity = measure_fidelity(said.predicted, material.test.labels, material.lessons.sizes, top=8)
    found: list[Confusion] = []
    for field, measured in zip(material.traffic.answer.fields, fidelity.fields, strict=True):
        found += [
            Confusion(
                field.name,
                field.show(each.teacher) if each.teacher >= 0 else "(another answer)",
                field.show(each.student),
                each.count,
                tuple(material.test.texts[row] for row in each.rows[:3]),
            )
            for each in measured.confusions
        ]
    return tuple(sorted(found, key=lambda confusion: -confusion.count)[:10])


def _run(facts: Facts) -> RunFacts:
    today = datetime.datetime.now(tz=datetime.UTC)
    return RunFacts(
        command=facts.command,
        seed=facts.recipe.seed,
        seconds=facts.seconds,
        hardware=f"{platform.machine()}, {os.cpu_count()} cores; trained on {facts.hardware.reason}",
        versions={"python": platform.python_version()} | versions(),
        bundle=str(facts.recipe.out),
        finished=f"{today.day} {today:%B %Y}",
    )
