"""`stillhouse inspect`: what a bundle promises."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.console import emit, words

__all__ = ["inspect"]


def inspect(
    bundle: Annotated[Path, typer.Argument(help="A bundle made by `stillhouse distill`.")],
    json: Annotated[bool, typer.Option("--json", help="Print manifest and certificate as one JSON object.")] = False,
) -> None:
    """Show what a bundle promises: its manifest and its certificate.

    Example: stillhouse inspect student
    """
    from stillhouse.bundle.erased import read_marks
    from stillhouse.bundle.manifest import read_certificate, read_manifest
    from stillhouse.reports.summary import summary

    manifest, certificate, marks = read_manifest(bundle), read_certificate(bundle), read_marks(bundle)
    if json:
        told = {"manifest": manifest.to_json(), "certificate": certificate.to_json()}
        emit(told | ({"trained_on_erased_data": [asdict(mark) for mark in marks]} if marks else {}))
        return
    words().print(summary(manifest, certificate), markup=False, highlight=False, soft_wrap=True)
    for mark in marks:
        served = "withdrawn" if mark.withdrawn else "still served"
        told = f"erased     {mark.rows} rows of {mark.data} were a person's who was erased ({mark.erasure}); {served}"
        words().print(told, markup=False, highlight=False, soft_wrap=True)
