"""Forms: what a model becomes by a combination of levers, made in stages: shaped, healed, exported, measured."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from stillhouse.compression.calibrate import Samples
from stillhouse.compression.quantize import quantize
from stillhouse.compression.scheme import Scheme
from stillhouse.compression.search import PRECISION, Combination, Prediction, Seen, Survey
from stillhouse.export.graph_model import GraphModel
from stillhouse.export.onnx_folder import GRAPH, export_onnx_folder
from stillhouse.export.subject import Kind, Logits
from stillhouse.models.load import fingerprint_all
from stillhouse.recipes import learnt_bits
from stillhouse.recipes.build import Opened, make_task, open_model, save_student
from stillhouse.recipes.cache import Artifact, StageCache
from stillhouse.recipes.compression import CompressRecipe, Heal
from stillhouse.recipes.learnt_bits import Learner, learn_bits
from stillhouse.recipes.levers import BITS, SEEN, VOCABULARY, is_shaped, levers_of, parts_of, shaped
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.provenance import versions
from stillhouse.recipes.read_rows import Rows, spread
from stillhouse.recipes.reference import Distance, Reference
from stillhouse.recipes.sections import (
    DataSection,
    ObjectiveSection,
    SourceSection,
    StudentSection,
    TaskName,
    TeacherSection,
)
from stillhouse.recipes.teach import Work, teach
from stillhouse.recipes.training import TrainRecipe
from stillhouse.students.vocabulary import keep_tokens, trim
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.task import Task

__all__ = ["Form", "Forms"]

VERSION = 2
"""Raised when a stage would make something else of the same inputs."""
MEASURED, LOOKED, SAMPLED = 2_000, 64, 256
"""Rows that quality, importance and the ranges of activations are measured on, at most."""
CALLS = 60
"""Answers that are timed."""
EXPORTED, FLOATS = "onnx", "floats"
OBJECTIVES: Mapping[TaskName, tuple[ObjectiveSection, ...]] = {
    TaskName.CLASSIFICATION: (ObjectiveSection(name="forward_kl", settings={"temperature": 2.0}),),
    TaskName.IMAGE: (ObjectiveSection(name="forward_kl", settings={"temperature": 2.0}),),
    TaskName.CHAT: (ObjectiveSection(name="forward_kl"),),
    TaskName.EMBEDDING: (ObjectiveSection(name="embedding_cosine"),),
}
"""What heals: the whole model's answers, softened where they are labels."""


@dataclass(frozen=True)
class Form:
    """A combination as it would be served."""

    combination: Combination
    model: str
    """The folder of the healed model in float32, or the hub id of a whole one that stayed as it was."""
    graph: Path
    bytes: int
    ms: float
    """The median time of an answer to one row, on one thread."""
    parameters: int
    distance: Distance

    @property
    def found(self) -> Prediction:
        """What the search is told."""
        return Prediction(self.bytes, self.ms, self.distance.drop)


@final
class Forms:
    """Every form of one model over one cache. `data` is what may be learnt from and measured on while searching."""

    def __init__(self, recipe: CompressRecipe, data: DataSection, rows: Rows, cache: StageCache, home: Path) -> None:
        self.recipe, self.data, self.rows, self.cache, self.home = recipe, data, rows, cache, home
        self._tasks: dict[tuple[str | None, int], Task] = {}
        self.whole = open_model(recipe.task, recipe.model)
        self.levers = levers_of(self.whole.model, recipe.task, recipe.levers)
        self._depends = {
            "version": VERSION,
            "model": fingerprint_all(recipe.model),
            "task": recipe.task.value,
            "data": [rows.hash, str(self._reading())],
            "seed": recipe.seed,
            "batch": recipe.batch,
            "versions": versions(),
        }
        self.reference = Reference(self.whole.model, self.task_of(self.whole), self.measured)

    @property
    def measured(self) -> tuple[int, ...]:
        """The selection rows that quality is measured on."""
        return spread(self.rows.selection, MEASURED)

    @property
    def at_rest(self) -> Combination:
        """No lever pulled."""
        return {name: settings[0] for name, settings in self.levers.items()}

    def describe(self, combination: Combination) -> str:
        """The levers that a combination pulls, in words."""
        pulled = [f"{name} {setting}" for name, setting in combination.items() if setting != self.at_rest[name]]
        return ", ".join(pulled) or "nothing changed"

    def task_of(self, opened: Opened, rows: Rows | None = None) -> Task:
        """The rows, or others, as a model reads them; pictures are not varied. What reads alike is read once."""
        key = (opened.vocabulary, id(rows))
        if key not in self._tasks:
            task = make_task(self._train_recipe(opened.name, opened.name), rows or self.rows, [opened])
            self._tasks[key] = task.still() if isinstance(task, ImageTask) else task
        return self._tasks[key]

    def survey(self) -> Survey:
        """Every setting of every lever pulled alone, nothing healed, and the whole model in every precision."""

        def make(folder: Path) -> str:
            found: dict[str, Any] = {"levers": {}}
            whole = parts_of(self.whole.model)
            count = sum(len(settings) - 1 for settings in self.levers.values())
            for name, settings in self.levers.items():
                found["levers"][name] = {settings[0]: asdict(Seen(whole, 0.0))}
                for setting in settings[1:]:
                    pulled = {**self.at_rest, name: setting}
                    seen = Seen(whole, self.form(pulled).distance.damage) if name == PRECISION else self._alone(pulled)
                    found["levers"][name][setting] = asdict(seen)
            rest = self.form(self.at_rest)
            found["ms"] = {
                precision: self.form({**self.at_rest, PRECISION: precision}).ms for precision in self.levers[PRECISION]
            }
            found["whole"] = asdict(Seen(whole, 0.0))
            found["overhead"] = max(0, rest.bytes - 4 * sum(whole.values()))
            (folder / "survey.json").write_text(json.dumps(found, indent=1))
            return f"{count} settings of {len(self.levers)} levers"

        inputs = self._depends | {"levers": {name: list(settings) for name, settings in self.levers.items()}}
        done = self.cache.stage("survey", "Every lever pulled alone", inputs, make)
        told = json.loads((done.path / "survey.json").read_text())
        return Survey(
            whole=Seen(**told["whole"]),
            levers={
                name: {setting: Seen(**seen) for setting, seen in settings.items()}
                for name, settings in told["levers"].items()
            },
            bits={precision: BITS[precision] for precision in self.levers[PRECISION]},
            ms=told["ms"],
            overhead=told["overhead"],
        )

    def form(self, combination: Combination) -> Form:
        """A combination shaped, healed, exported, and measured on the selection rows."""
        healed = self._healed(combination)
        inputs = {"precision": combination[PRECISION]}
        return self._measured(combination, healed, inputs, lambda folder: self._exported(healed, combination, folder))

    def learnt(self, form: Form) -> Form | None:
        """A form that has learnt its integers from the whole model, measured; None where it has none."""
        precision, base = form.combination[PRECISION], self._base(form.combination)
        if precision not in learnt_bits.BITS:
            return None
        recipe = self._train_recipe(base, form.model)

        def make(folder: Path) -> str:
            student, teacher = self._opened(form.model), self._opened(base)
            learner = Learner(recipe, self.rows, student, teacher.model)
            done = learn_bits(learner, precision, folder, self.cache.tell)
            subject = open_student(form.model)
            module = Logits(done.integers) if subject.kind is Kind.CLASSIFIER else done.integers
            export_onnx_folder(replace(subject, module=module), folder / EXPORTED)
            if done.floats is not None:
                floats = replace(student, model=done.floats)
                save_student(recipe, folder / FLOATS, floats, self.task_of(student))
            return f"{done.steps:,} steps, best held-out loss {done.loss:.4f}"

        inputs = self._depends | {"form": fingerprint_all(form.model), "precision": precision}
        inputs |= {"healing": asdict(self.recipe.healing)}
        made = self.cache.stage("bits", "It learns its integers from the whole model", inputs, make)
        floats = made.path / FLOATS
        model = str(floats) if floats.is_dir() else form.model
        combination = {**form.combination, PRECISION: f"{precision}, learnt"}

        def take(folder: Path) -> Path:
            shutil.rmtree(folder / EXPORTED, ignore_errors=True)
            return Path(shutil.copytree(made.path / EXPORTED, folder / EXPORTED)) / GRAPH

        return self._measured(combination, model, {"bits": made.hash}, take)

    def _measured(
        self, combination: Combination, model: str, inputs: dict[str, Any], export: Callable[[Path], Path]
    ) -> Form:
        """The form of a combination whose model in float32 lies in a folder, and whose graph `export` writes."""

        def make(folder: Path) -> str:
            graph, opened = export(folder), open_model(self.recipe.task, model)
            task = self.task_of(opened)
            distance = self.reference.distance(GraphModel(graph), task)
            record = {
                "bytes": _size(graph.parent),
                "ms": _ms(graph, task, self.measured),
                "parameters": sum(weight.numel() for weight in opened.model.parameters()),
                "distance": asdict(distance),
            }
            (folder / "form.json").write_text(json.dumps(record, indent=1))
            return f"{record['bytes'] / 1e6:.2f} MB, {record['ms']:.2f} ms, quality {distance.quality:.2%}"

        inputs = self._depends | {"form": fingerprint_all(model)} | inputs
        done = self.cache.stage("form", f"Measured: {self.describe(combination)}", inputs, make)
        told = json.loads((done.path / "form.json").read_text())
        distance = Distance(**told.pop("distance"))
        return Form(combination, model, done.path / EXPORTED / GRAPH, distance=distance, **told)

    def _alone(self, combination: Combination) -> Seen:
        """The weights and the damage of a lever pulled alone, measured in torch."""
        base = self._opened(self._base(combination))
        model = shaped(base.model, combination, self._batches(base))
        return Seen(parts_of(model), self.reference.distance(model, self.task_of(base)).damage)

    def _base(self, combination: Combination) -> str:
        """The whole model, or the folder of it with the tokens alone that the data use."""
        if combination.get(VOCABULARY) != SEEN:
            return self.recipe.model

        def make(folder: Path) -> str:
            whole = open_model(self.recipe.task, self.recipe.model)
            texts = [str(self.rows.inputs[row]) for row in self.rows.train]
            tokenizer, kept = trim(Tokenizer.from_str(whole.reader.backend_tokenizer.to_str()), texts)
            keep_tokens(whole.model, kept)
            reader = _with_backend(whole.reader, tokenizer, folder)
            trimmed = Opened(str(folder), whole.model, reader)
            save_student(self._train_recipe(str(folder), str(folder)), folder, trimmed, self.task_of(trimmed))
            return f"{len(kept):,} tokens kept"

        return str(self.cache.stage("trim", "Tokens that the data do not use are dropped", self._depends, make).path)

    def _healed(self, combination: Combination) -> str:
        """The folder of a combination's model in float32: shaped, and taught by the whole one."""
        base = self._base(combination)
        if not is_shaped(combination, self.levers):
            return base
        shape = {name: setting for name, setting in combination.items() if name != PRECISION}
        inputs = self._depends | {"shape": shape, "healing": asdict(self.recipe.healing)}

        def make_shape(folder: Path) -> str:
            opened = self._opened(base)
            model = shaped(opened.model, combination, self._batches(opened))
            smaller = Opened(opened.name, model, opened.reader)
            save_student(self._train_recipe(base, base), folder, smaller, self.task_of(opened))
            return f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.2f} M weights"

        def make_healed(folder: Path) -> str:
            recipe = replace(self._train_recipe(base, str(cut.path)), out=folder)  # for its figures by step
            teach(Work(recipe, folder, (str(cut.path),), self.home), self.cache.tell)
            told = json.loads((folder / "training.json").read_text())
            return f"{told['steps']:,} steps, best held-out loss {told['best_loss']:.4f}"

        words = ", ".join(f"{name} {setting}" for name, setting in shape.items())
        cut: Artifact = self.cache.stage("shape", f"Made smaller: {words}", inputs, make_shape)
        if self.recipe.heal is Heal.NOTHING:
            return str(cut.path)
        return str(self.cache.stage("heal", "It learns from the whole model", inputs, make_healed).path)

    def _exported(self, model: str, combination: Combination, folder: Path) -> Path:
        """The graph of a model in its precision, with what lies beside it."""
        source, target = self._graph(model), folder / EXPORTED
        shutil.rmtree(target, ignore_errors=True)
        scheme = Scheme.named(combination[PRECISION])
        left = (".*",) if scheme.matrices == "float32" else (".*", f"{GRAPH}*")
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*left))
        if scheme.matrices != "float32":
            samples = self._samples(source / GRAPH, model) if scheme.needs_samples else None
            quantize(source / GRAPH, target / GRAPH, scheme, samples)
        return target / GRAPH

    def _graph(self, model: str) -> Path:
        """The folder with the graph of a model in float32."""

        def make(folder: Path) -> str:
            graph = next(path for path in export_onnx_folder(open_student(model), folder).files if path.name == GRAPH)
            return f"{graph.stat().st_size / 1e6:.2f} MB in float32"

        inputs = self._depends | {"model": fingerprint_all(model)}
        return self.cache.stage("export", "The graph is written", inputs, make).path

    def _samples(self, graph: Path, model: str) -> Samples:
        task, names = self.task_of(self._opened(model)), GraphModel(graph).inputs
        rows = spread(self.rows.train, SAMPLED)
        feeds = [task.batch(rows[at : at + 32]).inputs for at in range(0, len(rows), 32)]
        return Samples([{name: feed[name].numpy() for name in names} for feed in feeds])

    def _batches(self, opened: Opened) -> list[Mapping[str, Tensor]]:
        """Some training rows as a model reads them, evenly spread, by which it is told what of it matters."""
        some, task = spread(self.rows.train, LOOKED), self.task_of(opened)
        return [task.batch(some[at : at + 16]).inputs for at in range(0, len(some), 16)]

    def _opened(self, name: str) -> Opened:
        torch.manual_seed(self.recipe.seed)
        return open_model(self.recipe.task, name)

    def _train_recipe(self, teacher: str, student: str) -> TrainRecipe:
        """The recipe by which a smaller model is healed."""
        return TrainRecipe(
            task=self.recipe.task,
            out=self.recipe.out,
            data=self.data,
            teacher=TeacherSection(model=teacher),
            student=StudentSection(model=student),
            source=SourceSection(batch=self.recipe.batch),
            objective=OBJECTIVES[self.recipe.task],
            training=self.recipe.healing,
            seed=self.recipe.seed,
        )

    def _reading(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self.data).items() if key not in ("train", "selection", "test")}


def _with_backend(reader: Any, tokenizer: Tokenizer, folder: Path) -> Any:
    """A Transformers tokenizer like `reader` that reads by another `tokenizer`, put together in `folder`."""
    from transformers import AutoTokenizer

    reader.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    for old in ("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model"):
        (folder / old).unlink(missing_ok=True)
    return AutoTokenizer.from_pretrained(folder)


def _size(folder: Path) -> int:
    """Bytes of the graph and the tokenizer, which is what answering needs."""
    return sum(
        path.stat().st_size for path in folder.iterdir() if path.name.startswith(GRAPH) or path.name == "tokenizer.json"
    )


def _ms(graph: Path, task: Task, rows: Sequence[int]) -> float:
    """The median milliseconds of one row's pass on one thread, reading not included."""
    model = GraphModel(graph, threads=1)
    feeds = [task.batch([row]).inputs for row in spread(rows, CALLS)]
    times: list[float] = []
    for at in range(CALLS + CALLS // 5):
        feed = feeds[at % len(feeds)]
        start = time.perf_counter()
        model(**feed)
        times.append(time.perf_counter() - start)
    return float(np.median(times[CALLS // 5 :])) * 1e3
