"""A recipe from start to end: label, shrink, train, evaluate, each stage kept; then the student's folder."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stillhouse.artifacts import hash_file, hash_json
from stillhouse.errors import UsageError
from stillhouse.models.load import fingerprint
from stillhouse.recipes.answers import answered_rows, ask_missing, questions
from stillhouse.recipes.build import make_objective, make_student, make_task, save_student
from stillhouse.recipes.cache import Artifact, StageCache
from stillhouse.recipes.datasets import datasets_behind
from stillhouse.recipes.label import label_rows, open_signals
from stillhouse.recipes.provenance import versions
from stillhouse.recipes.read_rows import Rows, read_rows
from stillhouse.recipes.sections import SourceKind, TaskName
from stillhouse.recipes.teach import Work, look_at, teach
from stillhouse.recipes.terms import check_training, training_terms
from stillhouse.recipes.training import TrainRecipe
from stillhouse.training.distributed import Company, handed_out, launch, leading
from stillhouse.training.events import Listener, Note

__all__ = ["Finished", "RunOptions", "assist_training", "filled", "plan_training", "run_training"]

RECORD = "record.json"


@dataclass(frozen=True)
class RunOptions:
    """How a recipe is run, which changes nothing of what comes out."""

    home: Path
    evaluate: bool = False
    """Label where that is needed, and measure on the test rows afterwards: `stillhouse run`."""
    fresh: bool = False
    trackers: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Finished:
    """A run's folder and its record."""

    out: Path
    record: dict[str, Any]


def filled(recipe: TrainRecipe) -> dict[str, Any]:
    """A recipe with all its defaults, as JSON."""
    return json.loads(json.dumps(asdict(recipe), default=str))


def plan_training(recipe: TrainRecipe, where: str) -> dict[str, Any]:
    """What a run would do, from its data alone: no model is opened."""
    objective = make_objective(recipe, where)
    rows = read_rows(recipe.data, recipe.task, recipe.seed)
    steps = recipe.training.epochs * -(-len(rows.train) // recipe.source.batch)
    generations = recipe.source.generations if recipe.source.kind is SourceKind.BORN_AGAIN else 1
    return {
        "recipe": filled(recipe),
        "rows": rows.counts,
        "steps": steps * generations,
        "teacher_tells": sorted(kind.value for kind in objective.needs),
        "unanswered": len(questions(recipe, rows)),
        "out": str(recipe.out),
    }


def run_training(recipe: TrainRecipe, where: str, options: RunOptions, tell: Listener) -> Finished:
    """Train as a recipe says; what an earlier run in this home has finished is not done again.

    `where` names the recipe in errors. The folder `out` holds the student as Transformers loads it, `metrics.jsonl`
    and `record.json`. Raises UsageError for what cannot work, as far as possible before anything is spent.

    Where a launcher such as torchrun started several processes, the first calls this and the others `assist_training`;
    they share every step, as those do that `training.processes` starts.
    """
    with leading() as company:
        return _run(_among(recipe, company), where, (options, company), tell)


def assist_training() -> bool:
    """Whether this process was started beside the one that runs the recipe; then it has done its part."""
    return handed_out(teach)


def _among(recipe: TrainRecipe, company: Company | None) -> TrainRecipe:
    """The recipe for the processes that are there."""
    if company is None:
        return recipe
    if recipe.training.processes not in (1, company.size):
        raise UsageError(
            f"{company.size} processes were started, and the recipe wants {recipe.training.processes}. "
            "Leave training.processes out under a launcher, or start as many."
        )
    return replace(recipe, training=replace(recipe.training, processes=company.size))


def _run(recipe: TrainRecipe, where: str, how: tuple[RunOptions, Company | None], tell: Listener) -> Finished:
    """Every stage in its turn, in the process that leads."""
    options, company = how
    make_objective(recipe, where)
    for warning in check_training(recipe, options.home):
        tell(Note(warning, warning=True))
    _check_out(recipe.out)
    started = time.monotonic()
    cache = StageCache(options.home, tell, options.fresh)
    with cache.locked():
        if recipe.teacher.api and options.evaluate:
            ask_missing(recipe, read_rows(recipe.data, recipe.task, recipe.seed), options.home, tell)
        rows = answered_rows(recipe, options.home, tell)
        tell(Note("Rows: " + ", ".join(f"{part} {count:,}" for part, count in rows.counts.items()) + "."))
        depends = _depends(recipe, rows, options, tell)
        students, made = _students(recipe, rows, cache)
        trained = _trained(recipe, students, (cache, options, company), {**depends, "students": made}, tell)
        figures = _evaluated(recipe, trained, rows, cache, (options, students[0])) if options.evaluate else None
        record = _record(recipe, rows, depends, options) | {"seconds": time.monotonic() - started}
        record |= {"training": json.loads((trained.path / "training.json").read_text())}
        record |= {} if figures is None else {"evaluation": figures}
        _deliver(trained.path, recipe.out, record)
    return Finished(recipe.out, record)


def _check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier run."""
    ours = (out / RECORD).is_file() or (out / "metrics.jsonl").is_file()
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not ours):
        raise UsageError(f"out = {out} holds other things. Name a new folder, or that of an earlier run.")


def _depends(recipe: TrainRecipe, rows: Rows, options: RunOptions, tell: Listener) -> dict[str, Any]:
    """What a trained student depends on beside the recipe; labels first where a whole run needs signals."""
    found: dict[str, Any] = {"data": rows.hash, "teachers": [fingerprint(name) for name in recipe.teacher.names]}
    if recipe.reads_signals:
        if options.evaluate and recipe.teacher.names:
            label_rows(recipe, rows, options.home, tell)
        reader = open_signals(recipe, rows, options.home)
        found["signals"] = [asdict(reader.origin), reader.codec.describe()]
    return found


def _students(recipe: TrainRecipe, rows: Rows, cache: StageCache) -> tuple[tuple[str, ...], list[str]]:
    """The students as they begin, by folder or hub id, and what identifies each."""
    section = recipe.student
    origin = section.model or recipe.teacher.names[0]
    headed = recipe.task in (TaskName.CLASSIFICATION, TaskName.IMAGE)
    if not section.cut and not (section.model and headed):
        return (origin,), [fingerprint(origin)]
    inputs = {
        "origin": fingerprint(origin),
        "student": filled(recipe)["student"],
        "seed": recipe.seed,
        "task": recipe.task.value,
        "labels": [fingerprint(recipe.teacher.names[0])] if recipe.teacher.names else [rows.hash],
        "seen": [rows.hash, _reading(recipe), recipe.source.batch] if section.looks else None,
        "versions": versions(),
    }
    made: list[Artifact] = []
    for number in range(recipe.source.peers if recipe.source.kind is SourceKind.MUTUAL else 1):

        def make(folder: Path, number: int = number) -> str:
            student = make_student(recipe, rows, number)
            save_student(recipe, folder, student, make_task(recipe, rows, [student]))
            weights = sum(weight.numel() for weight in student.model.parameters())
            return f"{weights / 1e6:.2f} M weights"

        made.append(cache.stage("shrink", "The student is made", {**inputs, "number": number}, make))
    return tuple(str(one.path) for one in made), [one.hash for one in made]


def _reading(recipe: TrainRecipe) -> dict[str, Any]:
    """How rows are read, whichever files they come from."""
    return {key: value for key, value in filled(recipe)["data"].items() if key not in ("train", "selection", "test")}


def _trained(
    recipe: TrainRecipe,
    students: tuple[str, ...],
    how: tuple[StageCache, RunOptions, Company | None],
    depends: dict[str, Any],
    tell: Listener,
) -> Artifact:
    """The trained student's stage."""
    cache, options, company = how
    plain = filled(recipe)
    said = {key: plain[key] for key in ("task", "source", "objective", "training", "seed", "student")}
    said["data"] = _reading(recipe)
    said["teacher"] = {key: plain["teacher"][key] for key in ("weights", "precision")}
    said["student"].pop("model")

    def make(folder: Path) -> str:
        work = Work(recipe, folder, students, options.home, options.trackers)
        if recipe.training.processes > 1:
            tell(Note(f"{recipe.training.processes} processes train; their figures go to {recipe.out}/metrics.jsonl."))
        if company is not None:
            company.share(work, lambda work: teach(work, tell))
        elif recipe.training.processes > 1:
            launch(recipe.training.processes, teach, (work,))
        else:
            teach(work, tell)
        if (recipe.out / "metrics.jsonl").is_file():
            shutil.copyfile(recipe.out / "metrics.jsonl", folder / "metrics.jsonl")
        told = json.loads((folder / "training.json").read_text())
        return f"{told['steps']:,} steps, best held-out loss {told['best_loss']:.4f}"

    return cache.stage("train", "The student learns", {**said, **depends, "versions": versions()}, make)


def _evaluated(
    recipe: TrainRecipe, trained: Artifact, rows: Rows, cache: StageCache, how: tuple[RunOptions, str]
) -> dict[str, Any]:
    """The figures of student and teacher on the test rows; `how` names the student as it began."""
    options, began = how

    def make(folder: Path) -> str:
        figures = look_at(recipe, trained.path, options.home, began) | {"rows": len(rows.test)}
        (folder / "evaluation.json").write_text(json.dumps(figures), encoding="utf-8")
        return f"{len(rows.test):,} test rows"

    teachers = [fingerprint(name) for name in recipe.teacher.names]
    inputs = {"student": trained.hash, "data": rows.hash, "teachers": teachers, "versions": versions()}
    done = cache.stage("evaluate", "Student and teacher are measured", inputs, make)
    return json.loads((done.path / "evaluation.json").read_text())


def _record(recipe: TrainRecipe, rows: Rows, depends: dict[str, Any], options: RunOptions) -> dict[str, Any]:
    """What a run was made of."""
    return {
        "recipe": filled(recipe),
        "recipe_sha256": hash_json(filled(recipe)),
        "command": options.command,
        "data": {
            "rows": rows.counts,
            "sha256": rows.hash,
            **datasets_behind([recipe.data.train, recipe.data.selection, recipe.data.test]),
        },
        "teachers": dict(zip(recipe.teacher.names, depends["teachers"], strict=True)),
        "terms": [asdict(each) for each in training_terms(recipe, options.home)],
        "seed": recipe.seed,
        "versions": versions(),
    }


def _deliver(stage: Path, out: Path, record: dict[str, Any]) -> None:
    """Put the student's files where the recipe wants them, in place of an earlier run's, and the record last."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / RECORD).is_file():
        for name in json.loads((out / RECORD).read_text(encoding="utf-8")).get("files", {}):
            (out / name).unlink(missing_ok=True)
        (out / RECORD).unlink()
    files = [file for file in sorted(stage.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    hashes: dict[str, str] = {}
    for file in files:
        place = file.relative_to(stage)
        if place.name == "training.json":
            continue
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, out / place)
        hashes[place.as_posix()] = hash_file(file)
    record["files"] = hashes
    (out / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
