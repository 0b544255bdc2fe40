"""`stillhouse inspect`: what a bundle promises."""

from __future__ import annotations

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
    from stillhouse.bundle.manifest import read_certificate, read_manifest
    from stillhouse.reports.summary import summary

    manifest, certificate = read_manifest(bundle), read_certificate(bundle)
    if json:
        emit({"manifest": manifest.to_json(), "certificate": certificate.to_json()})
    else:
        words().print(summary(manifest, certificate), markup=False, highlight=False, soft_wrap=True)
