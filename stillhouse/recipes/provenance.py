"""Enough to repeat a run: sizes, hashes, seeds and versions, the same for the same inputs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import stillhouse
from stillhouse.extras import version
from stillhouse.recipes.datasets import datasets_behind
from stillhouse.recipes.material import Material
from stillhouse.recipes.measure import Measured
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.training.lessons import Part

__all__ = ["outside", "provenance", "versions"]

_PACKAGES = ("torch", "transformers", "onnxruntime", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Of Stillhouse and of the packages that decide a student's weights and answers."""
    found = {package: version(package) for package in _PACKAGES}
    return {"stillhouse": stillhouse.__version__} | {name: number for name, number in found.items() if number}


def outside(part: Part) -> int:
    """Rows of a part whose answer is none that a student could give; each counts as a disagreement."""
    return int((part.labels < 0).any(axis=1).sum())


def provenance(recipe: DistillRecipe, material: Material, chosen: Measured) -> dict[str, Any]:
    """What the certificate and the manifest say of their own making; holds no time, path or machine."""
    return {
        "traffic_sha256": material.traffic.source_hash,
        "holdout_sha256": material.holdout.source_hash if material.holdout else None,
        "lessons_sha256": material.lessons.hash,
        "calibration_sha256": material.calibration.hash,
        "test_sha256": material.test.hash,
        "student_sha256": chosen.candidate.artifact.hash,
        "splits": material.split.report.rows,
        "measured": material.measured,
        "outside_labels": {
            "selection": outside(material.lessons.selection),
            "calibration": outside(material.calibration),
            "test": outside(material.test),
        },
        "left_out": material.bad,
        "terms": asdict(recipe.terms),
        "seed": recipe.seed,
        "encoder": recipe.encoder,
        "freeze": recipe.freeze,
        "precision": chosen.candidate.precision,
        "parity": asdict(chosen.candidate.parity),
        "versions": versions(),
        **datasets_behind(recipe.data),
    }
