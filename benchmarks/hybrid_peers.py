"""No benchmark, but what other tools make of `hybrid.py`'s whole models at the same bytes, measured on the same rows.

ONNX Runtime alone: its own quantiser on the exported float32 graph (texts: dynamic int8; pictures: static int8, ranges
of 256 training pictures). Torch-Pruning (pictures; it fails on this encoder, and what it says is kept): whole groups of
channels by their norm until the weights take the bytes wanted, then as many epochs on the labels as our ways heal.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from stillhouse.export.graph import write_graph
from stillhouse.export.graph_model import GraphModel
from stillhouse.objectives import CrossEntropy
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.compression import CompressRecipe
from stillhouse.recipes.forms import Forms
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.reference import Reference
from stillhouse.recipes.sections import TaskName
from stillhouse.tasks.image import Augmentation, ImageTask
from stillhouse.tasks.task import Task
from stillhouse.training.events import silent
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.offline import Offline

CALIBRATED_ON, TOGETHER = 256, 64
ONNX_RUNTIME, TORCH_PRUNING = "ONNX Runtime alone", "Torch-Pruning, fine-tuned"


def peers(recipe: CompressRecipe, home: Path) -> dict[str, dict[str, Any]]:
    """What each makes of the recipe's model: accuracy on its test rows, and bytes of graph and tokenizer."""
    return Peers(recipe, home).run()


@final
class Peers:
    """One whole model, its rows, and its graph."""

    def __init__(self, recipe: CompressRecipe, home: Path) -> None:
        self.recipe = recipe
        rows = read_rows(recipe.data, recipe.task, recipe.seed)
        self.forms = Forms(recipe, recipe.data, rows, StageCache(home, silent), home)
        self.task = self.forms.task_of(self.forms.whole)
        self.reference = Reference(self.forms.whole.model, self.task, rows.test)
        self.whole = self.forms.form(self.forms.at_rest)
        self.beside = self.whole.bytes - self.whole.graph.stat().st_size

    def run(self) -> dict[str, dict[str, Any]]:
        with tempfile.TemporaryDirectory() as place:
            made: dict[str, Callable[[Path], Path]] = {ONNX_RUNTIME: self.quantised, TORCH_PRUNING: self.pruned}
            return {name: self.figures(make, Path(place)) for name, make in made.items()}

    def figures(self, make: Callable[[Path], Path], place: Path) -> dict[str, Any]:
        try:
            graph = make(place)
        except Exception as error:  # whatever a peer raises is what it does here
            return {"failed": f"{type(error).__name__}: {error}"[:300]}
        size = graph.stat().st_size + self.beside
        return {
            "accuracy": self.reference.distance(GraphModel(graph), self.task).quality,
            "bytes": size,
            "reached": size <= (self.recipe.goal.bytes or 0),
            "form": "int8" if "int8" in graph.name else "fewer channels",
        }

    def quantised(self, place: Path) -> Path:
        ready, out = place / "ready.onnx", place / "int8.onnx"
        quant_pre_process(str(self.whole.graph), str(ready), skip_symbolic_shape=True)
        if self.recipe.task is TaskName.IMAGE:
            static: Any = quantize_static
            settings = {"quant_format": QuantFormat.QDQ, "per_channel": True}
            types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
            static(str(ready), str(out), Pictures(self.task, self.forms.rows.train), **settings, **types)
            return out
        model = onnx.load(ready)
        del model.graph.value_info[:]  # left from shapes that were given, which its quantiser takes for its own
        onnx.save(model, ready)
        more = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}
        operators = ["MatMul", "Gemm", "Gather"]
        quantize_dynamic(ready, out, operators, per_channel=True, weight_type=QuantType.QInt8, extra_options=more)
        return out

    def pruned(self, place: Path) -> Path:
        import torch_pruning  # pyright: ignore[reportMissingImports]

        batch = self.task.batch(self.forms.rows.train[:2])
        given = tuple(batch.inputs.values())
        whole = Logits(self.forms.whole.model, list(batch.inputs))
        weights = (self.recipe.goal.bytes or 0) - self.beside
        low, high = 0.0, 0.98
        model = whole
        for _ in range(6):  # the largest model that takes the bytes
            ratio = (low + high) / 2
            tried = copy.deepcopy(whole)
            head = [each for each in tried.modules() if isinstance(each, nn.Linear)][-1]
            pruner = torch_pruning.pruner.BasePruner(
                tried,
                given,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=ratio,
                ignored_layers=[head],
            )
            pruner.step()
            if 4 * sum(weight.numel() for weight in tried.parameters()) <= weights:
                model, high = tried, ratio
            else:
                low = ratio
        if model is whole:
            raise ValueError("no ratio gave so few bytes")
        self.fine_tune(model)
        out = place / "pruned.onnx"
        write_graph(model.eval(), out, given, ({0: "rows"},), list(batch.inputs), ["logits"])
        return out

    def fine_tune(self, model: nn.Module) -> None:
        rows, healing, seed = self.forms.rows, self.recipe.healing, self.recipe.seed
        assert healing.rate is not None
        assert isinstance(self.task, ImageTask)
        data = self.recipe.data
        varied = replace(self.task, augmentation=Augmentation(crop=data.crop, flip=data.flip), seed=seed)
        source = Offline(varied, rows.train, self.recipe.batch, seed)

        def score(now: nn.Module) -> float:
            return self.right(now.eval(), rows.selection)

        schedule = Schedule(epochs=healing.epochs, evaluations=healing.epochs, patience=healing.epochs, seed=seed)
        lesson = Lesson(model, varied, source, CrossEntropy(), rates=[(model, healing.rate)])
        train(lesson, schedule, Watch(score, lambda done, total, note: None))

    @torch.no_grad()
    def right(self, model: nn.Module, rows: Any) -> float:
        found = 0
        for at in range(0, len(rows), TOGETHER):
            batch = self.task.batch(rows[at : at + TOGETHER])
            found += int((model(*batch.inputs.values()).argmax(-1) == batch.labels[:, 0]).sum())
        return found / len(rows)


@final
class Logits(nn.Module):
    """A Transformers classifier whose answer is its logits alone."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, tuple(names)

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor:
        given = [first] if second is None else [first, second]
        return self.model(**dict(zip(self.names, given, strict=True))).logits


@final
class Pictures(CalibrationDataReader):
    """Training pictures, one batch after the other."""

    def __init__(self, task: Task, rows: Sequence[int]) -> None:
        batches = [task.batch(rows[at : at + TOGETHER]) for at in range(0, CALIBRATED_ON, TOGETHER)]
        self.feeds = iter([{name: part.numpy() for name, part in batch.inputs.items()} for batch in batches])

    def get_next(self) -> Any:
        return next(self.feeds, None)
