"""From a model to a smaller one that reaches a goal: the whole search, top to bottom."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stillhouse.bundle.certificate import Certificate
from stillhouse.compression.search import PRECISION, Search
from stillhouse.errors import UsageError
from stillhouse.evaluation.answers import Answers
from stillhouse.evaluation.calibration import fit_temperature
from stillhouse.evaluation.certificate import certify
from stillhouse.evaluation.fidelity import judge
from stillhouse.export.folders import check_out
from stillhouse.export.graph_model import GraphModel
from stillhouse.extras import require
from stillhouse.inference.onnx_student import likeliest, shares
from stillhouse.models.load import fingerprint_all, labels_of
from stillhouse.recipes.build import open_model
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.compression import CompressRecipe, Heal, pooled_as
from stillhouse.recipes.datasets import datasets_behind
from stillhouse.recipes.forms import Form, Forms
from stillhouse.recipes.held_out import hold_out, read_parts
from stillhouse.recipes.provenance import versions
from stillhouse.recipes.read_rows import Rows, read_rows
from stillhouse.recipes.reference import Reference, answers_of, scores_of
from stillhouse.recipes.sections import TaskName
from stillhouse.recipes.write_compressed import RECORD, Proof, write_compressed
from stillhouse.reports.compression_record import CompressionRecord, FormRecord, GoalRecord, TestRecord
from stillhouse.training.events import Listener, Note

__all__ = ["Compressed", "compress"]

VERSION = 1
LABELS = (TaskName.CLASSIFICATION, TaskName.IMAGE)
"""Tasks of which a certificate speaks."""


@dataclass(frozen=True)
class Compressed:
    """What a compression made, and where it lies."""

    record: CompressionRecord
    certificate: Certificate | None
    out: Path

    def to_json(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        certificate = None if self.certificate is None else self.certificate.to_json()
        return self.record.to_json() | {"certificate": certificate, "out": str(self.out)}


def compress(
    recipe: CompressRecipe, home: Path, tell: Listener, *, fresh: bool = False, command: str = ""
) -> Compressed:
    """Find a form of the recipe's model that reaches its goal; what an earlier run in this home finished is kept.

    Every lever is pulled alone to see what it does; then combinations are made, healed by distillation from the whole
    model, exported and measured as they would be served. The test rows are looked at once, by the form that was chosen.
    Where none reaches the goal the nearest is written, and the record says so.
    """
    require("train", "compress a model")
    given = (Path(recipe.model), recipe.data.train, recipe.data.selection, recipe.data.test)
    check_out(recipe.out, RECORD, (home, *(each for each in given if each is not None and each.exists())))
    if recipe.task is TaskName.EMBEDDING:
        recipe = replace(recipe, data=pooled_as(recipe.model, recipe.data))
    started = time.monotonic()
    cache = StageCache(home, tell, fresh)
    with cache.locked():
        forms, calibration = _forms(recipe, cache, home)
        search = Search(forms.survey(), recipe.goal)
        made = _try(search, forms, recipe.trials, tell)
        nearest = search.nearest
        assert nearest is not None
        chosen = next(form for form in made if form.combination == nearest.combination)
        if recipe.heal is Heal.BITS:
            chosen = _learnt(forms, chosen, made, search, tell)
        record = CompressionRecord(
            model=recipe.model,
            task=recipe.task.value,
            goal=GoalRecord(**asdict(recipe.goal), least_bytes=search.smallest.bytes, least_ms=search.smallest.ms),
            whole=_told(forms, forms.form(forms.at_rest), search),
            forms=tuple(_told(forms, form, search) for form in made),
            chosen=made.index(chosen),
            test=_on_test(forms, chosen),
            alone={
                name: {setting: seen.damage for setting, seen in settings.items()}
                for name, settings in search.survey.levers.items()
            },
            rows=forms.rows.counts | ({"calibration": len(calibration.selection)} if calibration else {}),
            run={"seed": recipe.seed, "seconds": time.monotonic() - started, "command": command, **versions()},
        )
        proof = None if calibration is None else _certify(forms, chosen, calibration)
        write_compressed(forms, chosen, record, proof)
    return Compressed(record, proof.certificate if proof else None, recipe.out)


def _forms(recipe: CompressRecipe, cache: StageCache, home: Path) -> tuple[Forms, Rows | None]:
    """The forms of the recipe's model, on rows of which those that prove something were taken away."""
    data, task, calibration, proven = recipe.data, recipe.task, None, recipe.task in LABELS
    given = read_rows(data, task, recipe.seed)
    if proven:
        _check_labels(recipe, given)
    if proven or data.test is None:
        inputs = {"data": given.hash, "proven": proven, "version": VERSION}
        held = cache.stage(
            "rows",
            "Rows are put aside for the proof",
            inputs,
            lambda folder: hold_out(recipe.data, task, recipe.seed, folder, proven),
        )
        data, calibration = read_parts(data, task, recipe.seed, held.path)
    return Forms(recipe, data, read_rows(data, task, recipe.seed), cache, home), calibration


def _check_labels(recipe: CompressRecipe, rows: Rows) -> None:
    """Refuse rows of another task, by labels that the model does not have."""
    known = labels_of(recipe.model)
    numbers = range(-1, len(known))  # -1: no label
    given = {label for label in rows.answers or () if label is not None}
    strange = sorted(str(label) for label in given if label not in (known if isinstance(label, str) else numbers))
    if not strange:
        return
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    raise UsageError(
        f"The rows have labels that {recipe.model} does not: {', '.join(strange[:3])}{more}. It has {len(known)}, from "
        f"{known[0]} to {known[-1]}. Give rows of the task that it has learnt, or rows without labels."
    )


def _try(search: Search, forms: Forms, trials: int, tell: Listener) -> list[Form]:
    """Make and measure what the search proposes, one after the other."""
    made: list[Form] = []
    for number in range(trials):
        combination = search.propose()
        if combination is None:
            break
        seen = search.predict(combination).words
        tell(Note(f"Trial {number + 1}, of {trials} at most: {forms.describe(combination)}; foreseen {seen}."))
        form = forms.form(combination)
        search.tell(combination, form.found)
        made.append(form)
        tell(Note(f"Found {form.found.words}."))
    return made


def _learnt(forms: Forms, chosen: Form, made: list[Form], search: Search, tell: Listener) -> Form:
    """The form that was chosen with the integers that it learnt, where these are better; both are kept in `made`."""
    learnt = forms.learnt(chosen)
    if learnt is None:
        precision = chosen.combination[PRECISION]
        tell(Note(f"The form that was found is in {precision}: there are no integers to be learnt."))
        return chosen
    made.append(learnt)
    tell(Note(f"With learnt integers {learnt.found.words}."))

    def merit(form: Form) -> tuple[float, float, float]:
        return -search.goal.misses(form.found), form.distance.quality, -form.distance.damage

    return max(chosen, learnt, key=merit)


def _told(forms: Forms, form: Form, search: Search) -> FormRecord:
    distance = form.distance
    return FormRecord(
        combination=dict(form.combination),
        words=forms.describe(form.combination),
        bytes=form.bytes,
        ms=form.ms,
        parameters=form.parameters,
        quality=distance.quality,
        drop=distance.drop,
        agreement=distance.agreement,
        damage=distance.damage,
        figures=dict(distance.figures),
        reaches=not search.goal.misses(form.found),
    )


def _on_test(forms: Forms, chosen: Form) -> TestRecord:
    """How far the chosen form is from the whole model on the test rows."""
    reference = Reference(forms.whole.model, forms.task_of(forms.whole), forms.rows.test)
    opened = open_model(forms.recipe.task, chosen.model)
    found = reference.distance(GraphModel(chosen.graph), forms.task_of(opened))
    return TestRecord(found.quality, found.whole, found.agreement, dict(found.figures))


def _certify(forms: Forms, chosen: Form, calibration: Rows) -> Proof:
    """What the test rows prove of the chosen form beside the whole model, and what makes its confidence true."""
    opened = open_model(forms.recipe.task, chosen.model)
    graph = GraphModel(chosen.graph)
    parts = {
        "sealed": (forms.rows, forms.rows.test),
        "calibration": (calibration, calibration.selection),
        "selection": (forms.rows, forms.measured),
    }
    said = {
        name: (
            scores_of(graph, forms.task_of(opened, rows), some).numpy(),
            scores_of(forms.whole.model, forms.task_of(forms.whole, rows), some).numpy().argmax(-1),
        )
        for name, (rows, some) in parts.items()
    }
    heat = fit_temperature(*said["selection"])
    data = forms.recipe.data

    def answers(name: str) -> Answers:
        (rows, some), (mine, its) = parts[name], said[name]
        predicted, confidence = likeliest(shares(mine, [mine.shape[1]], [heat]))
        truths = answers_of(forms.task_of(opened, rows), some).numpy()
        return judge(predicted, confidence, its[:, None], truths)

    certificate = certify(
        sealed=answers("sealed"),
        calibration=answers("calibration"),
        selection=answers("selection"),
        terms=forms.recipe.terms,
        provenance={
            "model": fingerprint_all(forms.recipe.model),
            "data_sha256": forms.rows.hash,
            **datasets_behind([data.train, data.selection, data.test]),
            "form": dict(chosen.combination),
            "seed": forms.recipe.seed,
            "versions": versions(),
        },
    )
    return Proof(certificate, heat)
