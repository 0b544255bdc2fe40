"""`stillhouse certify`: a bundle's certificate repeated on new traffic."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.console import emit, words

__all__ = ["certify"]


def certify(
    bundle: Annotated[Path, typer.Argument(help="A bundle made by `stillhouse distill`.")],
    on: Annotated[list[Path], typer.Option("--on", help="New calls that the teacher answered; give several files.")],
    margin: Annotated[
        float | None, typer.Option(help="As in distill; by default what the bundle was made with.")
    ] = None,
    risk: Annotated[float | None, typer.Option(help="As in distill; by default what the bundle was made with.")] = None,
    confidence: Annotated[float | None, typer.Option(help="By default what the bundle was made with.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the new certificate to this file.")] = None,
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
    from stillhouse.reports.sentences import cascade_promise, verdict_sentence

    before = read_certificate(bundle)
    terms = Terms(
        before.margin if margin is None else margin,
        before.cascade.risk if risk is None else risk,
        before.confidence if confidence is None else confidence,
    )
    certificate = certify_bundle(bundle, tuple(on), terms, skip_bad_rows=skip_bad_rows)
    if out is not None:
        out.write_text(json_format.dumps(certificate.to_json(), indent=1) + "\n", encoding="utf-8")
    if json:
        emit(certificate.to_json())
    else:
        console = words()
        console.print(verdict_sentence(certificate), style="bold", markup=False, highlight=False)
        console.print(certificate.reason, markup=False, highlight=False)
        console.print(cascade_promise(certificate.cascade), markup=False, highlight=False)
        console.print(certificate.cascade.reason, markup=False, highlight=False)
