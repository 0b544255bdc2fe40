"""A bundle folder written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stillhouse.artifacts import hash_file
from stillhouse.errors import UsageError
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.reports import model_card, run_report
from stillhouse.reports.record import RunRecord

__all__ = ["check_place", "student_files", "write_bundle"]


def check_place(recipe: DistillRecipe, home: Path) -> None:
    """Make sure that the bundle can be written to its place and replaces nothing else, before any work is done."""
    out = recipe.out
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Name a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()) and not (out / "stillhouse.json").is_file():
        raise UsageError(f"--out {out} is a folder that holds other things. Name a new one, or an earlier bundle.")
    parent = out.resolve().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UsageError(f"--out {out} cannot be written: {parent} is a file. Name another folder.")
    for kept in (home, *recipe.traffic, *([recipe.holdout] if recipe.holdout else [])):
        if kept.resolve().is_relative_to(out.resolve()):
            raise UsageError(f"--out {out} would replace {kept}. Name another folder.")
    try:
        TemporaryDirectory(prefix=".stillhouse-", dir=parent).cleanup()  # permissions alone do not tell
    except OSError as error:
        told = error.strerror or str(error)
        raise UsageError(f"--out {out} cannot be written: {parent} takes no folder ({told}). Name another.") from error


def student_files(sources: Iterable[Path]) -> dict[str, str]:
    """Where each of a student's files lies in a bundle, with its hash."""
    return {f"student/{path.name}": hash_file(path) for path in sources}


def write_bundle(out: Path, sources: Iterable[Path], record: RunRecord) -> None:
    """Write the bundle beside `out` and move it into place; an earlier bundle is replaced."""
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    waiting, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    for leftover in (waiting, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        _write_files(waiting, sources, record)
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        raise
    if out.exists():
        out.rename(old)
    waiting.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _write_files(folder: Path, sources: Iterable[Path], record: RunRecord) -> None:
    (folder / "student").mkdir(parents=True)
    for source in sources:
        shutil.copyfile(source, folder / "student" / source.name)
    _write_json(folder / "stillhouse.json", record.manifest.to_json())
    _write_json(folder / "certificate.json", record.certificate.to_json())
    _write_json(folder / "record.json", record.to_json())
    (folder / "report.html").write_text(run_report.render(record), encoding="utf-8")
    (folder / "README.md").write_text(model_card.render(record), encoding="utf-8")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
