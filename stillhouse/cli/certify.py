"""`stillhouse certify`: a bundle's certificate repeated on new traffic."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, words
from stillhouse.cli.datasets import opened

if TYPE_CHECKING:
    from stillhouse.bundle.certificate import Certificate

__all__ = ["certify"]


def certify(
    bundle: Annotated[Path, typer.Argument(help="A bundle made by `stillhouse distill`.")],
    on: Annotated[
        list[Path],
        typer.Option("--on", help="New calls that the teacher answered: files, or a version such as fresh@2."),
    ],
    margin: Annotated[
        float | None, typer.Option(help="As in distill; by default what the bundle was made with.")
    ] = None,
    risk: Annotated[float | None, typer.Option(help="As in distill; by default what the bundle was made with.")] = None,
    confidence: Annotated[float | None, typer.Option(help="By default what the bundle was made with.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the new certificate to this file.")] = None,
    home: Annotated[Path | None, typer.Option(help="The folder that has the datasets, where --on names one.")] = None,
    skip_bad_rows: Annotated[bool, typer.Option(help="Leave out rows that cannot be used.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the certificate as one JSON object.")] = False,
) -> None:
    """Repeat a bundle's certificate on new traffic: does it still hold?

    The student and its threshold stay as they are; only new rows judge them. Exit code 0 means that the
    certificate was made, whatever it says.

    Example: stillhouse certify student --on last-week.jsonl
    """
    from stillhouse.bundle.manifest import read_certificate
    from stillhouse.evaluation.answers import Terms
    from stillhouse.recipes.recertify import certify_bundle

    before = read_certificate(bundle)
    terms = Terms(
        before.margin if margin is None else margin,
        before.cascade.risk if risk is None else risk,
        before.confidence if confidence is None else confidence,
    )
    files = opened(on, settings.home(home), by_label=True)
    certificate = certify_bundle(bundle, tuple(files), terms, skip_bad_rows=skip_bad_rows)
    if out is not None:
        out.write_text(json_format.dumps(certificate.to_json(), indent=1) + "\n", encoding="utf-8")
    if json:
        emit(certificate.to_json())
        return
    first, *others = _told(certificate, before.cascade.threshold)
    words().print(first, style="bold", markup=False, highlight=False)
    for line in others:
        words().print(line, markup=False, highlight=False)


def _told(certificate: Certificate, threshold: float | None) -> list[str]:
    """The verdict, what the rows say of the bundle's threshold, and what to do where they do not confirm it."""
    from stillhouse.reports.sentences import cascade_promise, verdict_sentence

    cascade = certificate.cascade
    lines = [verdict_sentence(certificate), certificate.reason]
    repeats = certificate.provenance["splits"]["test"] - certificate.provenance["measured"]["test"]
    if repeats:
        lines.append(f"{repeats:,} rows repeat calls of other rows: a call counts once, as repeats prove nothing more.")
    outside = certificate.provenance["outside_labels"]["test"]
    if outside:
        lines.append(f"{outside:,} of the answers are none that the student could give: each is a disagreement.")
    if cascade.threshold is not None:
        return [*lines, cascade_promise(cascade), cascade.reason]
    again = (
        "distil again with these calls added (stillhouse distill OLD NEW --out FOLDER), which chooses a threshold on "
        "new calibration rows"
    )
    if threshold is None:
        none = "The bundle has no certified threshold to test: beside a teacher every call goes to the teacher."
        return [*lines, f"{none} To get one, {again}."]
    more = f"To confirm this threshold, certify on about {cascade.needed_rows:,} rows. " if cascade.needed_rows else ""
    return [
        *lines,
        f"The bundle's threshold is not confirmed. {cascade.reason}",
        f"{more}For another one, {again}. The bundle is unchanged: beside a teacher, `stillhouse serve` goes on "
        f"answering calls at {threshold:.4f} or more by the student.",
    ]
