"""A bundle folder written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stillhouse.artifacts import hash_file
from stillhouse.export.folders import check_out, written_whole
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.reports import model_card, run_report
from stillhouse.reports.record import RunRecord

__all__ = ["TRAINED", "check_place", "student_files", "write_bundle", "write_json"]

TRAINED = "trained"
"""The folder of a bundle that holds the student as it was trained, in float32; serving does not need it."""


def check_place(recipe: DistillRecipe, home: Path) -> None:
    """Make sure that the bundle can be written to its place and replaces nothing else, before any work is done."""
    holdout = [recipe.holdout] if recipe.holdout else []
    check_out(recipe.out, "stillhouse.json", (home, *recipe.traffic, *holdout))


def student_files(sources: Iterable[Path], folder: str = "student") -> dict[str, str]:
    """Where each of a student's files lies in a bundle, with its hash."""
    return {f"{folder}/{path.name}": hash_file(path) for path in sources}


def write_bundle(out: Path, sources: Iterable[Path], record: RunRecord, trained: Iterable[Path] = ()) -> None:
    """Write the bundle beside `out` and move it into place; an earlier bundle is replaced.

    `sources` are the files that serving needs, `trained` those of the student as it was trained.
    """
    with written_whole(out) as waiting:
        _copy(sources, waiting / "student")
        _copy(trained, waiting / TRAINED)
        _write_files(waiting, record)


def _copy(sources: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for source in sources:
        shutil.copyfile(source, folder / source.name)


def _write_files(folder: Path, record: RunRecord) -> None:
    write_json(folder / "stillhouse.json", record.manifest.to_json())
    write_json(folder / "certificate.json", record.certificate.to_json())
    write_json(folder / "record.json", record.to_json())
    (folder / "report.html").write_text(run_report.render(record), encoding="utf-8")
    (folder / "README.md").write_text(model_card.render(record), encoding="utf-8")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an object as JSON that people can read."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
