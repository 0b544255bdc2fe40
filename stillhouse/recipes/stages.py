"""The stages of a distil run: one function each, from artifacts to an artifact."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from stillhouse.bundle.manifest import Featurizer
from stillhouse.compression.quantize import quantize
from stillhouse.compression.scheme import Scheme
from stillhouse.errors import ExportMismatch
from stillhouse.evaluation.calibration import fit_temperature
from stillhouse.evaluation.efficiency import Pace, measure_pace
from stillhouse.export.onnx import export_onnx
from stillhouse.export.verify import Parity, compare
from stillhouse.inference.onnx_student import OnnxStudent, shares, split_fields
from stillhouse.models.cost import parameters
from stillhouse.recipes.cache import Artifact, StageCache
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.ladder import Rung
from stillhouse.students.trained import RECORD, WEIGHTS, save_trained
from stillhouse.training.classroom import Classroom, Taught, batch_size
from stillhouse.training.events import Progress
from stillhouse.training.lessons import Floats, Lessons
from stillhouse.training.loop import Schedule, Watch

__all__ = ["Candidate", "Stages"]

VERSION = 6
"""Raised when a stage would make something else of the same inputs."""
ASSISTANT_TOKENS = 1.0e6
TOKENS = {"words": 4.5e6, "static": 4.5e6, "encoder": 1.5e6}
"""How much text each family is shown while it learns: what a laptop does in a minute or two."""
LEAST_STEPS, MOST_EPOCHS = 200, 60
"""So few rows that an epoch is a handful of steps are shown more often."""
SAME = {"int8+int4": 0.98, "int8": 0.95, "float32": 0.999}
"""Share of rows on which an export must repeat the trained student's answer; else the next precision is tried.

`int8+int4` has int8 matrices and embeddings of 4 bits. It is for encoders: reading 4 bits takes longer, and halved the
speed of static students, which do little else (measured)."""
SAMPLE = 2_000
"""Rows on which an export is compared with the trained student."""
DROP, LESS = 0.01, 0.003
"""How much agreement with the teacher an export may cost, or its standard error where rows are few; 4 bits: LESS."""


@dataclass(frozen=True)
class Candidate:
    """A rung as it will be served."""

    rung: Rung
    artifact: Artifact
    featurizer: Featurizer
    temperatures: tuple[float, ...]
    precision: str
    parity: Parity
    parameters: int

    @property
    def served_files(self) -> list[Path]:
        """The files that serving needs."""
        return [path for name in ("model.onnx", "tokenizer.json") if (path := self.artifact.path / name).is_file()]

    @property
    def trained_files(self) -> list[Path]:
        """The student as it was trained, for exports; serving does not need it."""
        return [self.artifact.path / name for name in (WEIGHTS, RECORD)]

    @property
    def scores(self) -> Floats:
        """What the exported student says of the selection rows, `[rows, all labels]`, not yet calibrated."""
        return np.load(self.artifact.path / "selection.npy")

    def open(self, threads: int) -> OnnxStudent:
        """The exported student, on so many threads (0: one per core)."""
        return OnnxStudent.open(self.artifact.path, self.featurizer, threads)


@final
class Stages:
    """The stages of one run, over one cache. `encoder` is the hash of the pretrained encoder, if there is one.

    With `minutes`, training that began before they are over ends at its next evaluation.
    """

    def __init__(self, cache: StageCache, room: Classroom, encoder: str | None, minutes: float | None = None) -> None:
        self.cache, self.room, self.encoder, self.minutes = cache, room, encoder, minutes
        self.deadline = time.monotonic() + 60 * minutes if minutes else math.inf

    @property
    def lessons(self) -> Lessons:
        return self.room.lessons

    def assistant(self) -> Artifact:
        """The whole encoder fine-tuned on the recorded answers, and its soft answers to every lesson."""

        def make(folder: Path) -> str:
            taught = self.room.assistant()
            epochs = self._epochs(ASSISTANT_TOKENS, len(self.room.answered), least=3, most=8)
            score = self._teach("assistant", taught, epochs, folder)
            self.room.save(taught, folder)
            np.save(folder / "teacher.npy", self.room.teacher_logits(taught))
            return f"agrees on {score:.1%} of selection rows"

        return self.cache.stage("assistant", "Assistant teacher: the whole encoder", self._inputs(), make)

    def candidate(self, rung: Rung, assistant: Artifact | None) -> Candidate:
        """A rung trained, exported, quantised, checked and calibrated; without an assistant, on the answers alone."""

        def make(folder: Path) -> str:
            taught, score = self._taught(rung, assistant, folder)
            precision, parity, scores = self._export(taught, folder)
            np.save(folder / "selection.npy", scores)
            save_trained(taught.student, folder)
            record = {
                "featurizer": asdict(taught.featurizer),
                "precision": precision,
                "parity": asdict(parity),
                "parameters": parameters(taught.student),
                "temperatures": self._temperatures(scores),
            }
            (folder / "rung.json").write_text(json.dumps(record, indent=1))
            return f"{score:.1%} on selection rows; {precision} repeats {parity.agreement:.1%} of its answers"

        inputs = self._inputs() | {"rung": rung.name, "assistant": assistant.hash if assistant else None}
        artifact = self.cache.stage(rung.name, f"Student {rung.name}", inputs, make)
        record = json.loads((artifact.path / "rung.json").read_text())
        return Candidate(
            rung,
            artifact,
            Featurizer(**record["featurizer"]),
            tuple(record["temperatures"]),
            record["precision"],
            Parity(**record["parity"]),
            record["parameters"],
        )

    def pace(self, candidate: Candidate) -> Pace:
        """How fast a candidate is on this machine, by selection texts."""

        def make(folder: Path) -> str:
            pace = measure_pace(lambda threads: candidate.open(threads).logits, self.lessons.selection.texts)
            (folder / "pace.json").write_text(json.dumps(asdict(pace)))
            return f"p50 {pace.latency_ms_p50:.2f} ms, {pace.throughput_per_s:,.0f} answers a second"

        inputs = {"version": VERSION, "student": candidate.artifact.hash, "machine": platform.node()}
        name = f"pace-{candidate.rung.name}"
        artifact = self.cache.stage(name, f"Timing {candidate.rung.name}", inputs, make)
        return Pace(**json.loads((artifact.path / "pace.json").read_text()))

    def _inputs(self) -> dict[str, Any]:
        hardware = self.room.hardware
        return {
            "version": VERSION,
            "lessons": self.lessons.hash,
            "encoder": self.encoder,
            "seed": self.room.seed,
            "freeze": self.room.freeze,
            "minutes": self.minutes,
            "numbers": [hardware.device, hardware.precision, hardware.threads],
        }

    def _taught(self, rung: Rung, assistant: Artifact | None, folder: Path) -> tuple[Taught, float]:
        """A rung's student, trained; the whole encoder is the assistant itself."""
        teacher = None if assistant is None else np.load(assistant.path / "teacher.npy")
        guide = None
        if rung.family == "encoder" and assistant is not None:
            guide = self.room.restore(self.room.assistant(), assistant.path)
            if rung.layers == self.room.encoder_layers:
                return guide, self.room.score(guide, self.lessons.selection)
        taught = self.room.rung(rung, guide)
        rows = len(self.room.answered if teacher is None else self.room.pool)
        epochs = self._epochs(TOKENS[rung.family], rows, least=2, most=40)
        return taught, self._teach(rung.name, taught, epochs, folder, teacher)

    def _epochs(self, tokens: float, rows: int, least: int, most: int) -> int:
        """As many epochs over `rows` as show about so many tokens, within bounds; more where rows are few."""
        wanted = min(most, max(least, round(tokens / (max(1, rows) * self.room.tokens_per_lesson))))
        return max(wanted, min(MOST_EPOCHS, LEAST_STEPS * batch_size(rows) // max(1, rows)))

    def _teach(self, stage: str, taught: Taught, epochs: int, folder: Path, teacher: Floats | None = None) -> float:
        selection = self.lessons.selection
        schedule = Schedule(epochs=epochs, precision=self.room.hardware.precision, seed=self.room.seed)
        watch = Watch(
            score=lambda _: self.room.score(taught, selection),
            tell=lambda done, total, note: self.cache.tell(Progress(stage, done, total, note)),
            checkpoint=folder / ".checkpoint",
            deadline=self.deadline,
        )
        self.room.teach(taught, schedule, watch, teacher)
        return self.room.score(taught, selection)

    def _export(self, taught: Taught, folder: Path) -> tuple[str, Parity, Floats]:
        """The smallest precision that answers as the trained student does, in `model.onnx`, and its selection scores.

        They are compared on selection rows, filled up with lessons where they are few.
        """
        if taught.tokenizer is not None:
            taught.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        whole, model = folder / ".float32", folder / "model.onnx"
        export_onnx(taught.student, whole)
        selection, sizes = self.lessons.selection.texts, self.lessons.sizes
        more = self.lessons.train.texts[: max(0, SAMPLE - len(selection))]
        before = shares(self.room.logits(taught, (selection + more)[:SAMPLE], precision="no"), sizes)
        makers: dict[str, Callable[[], object]] = {
            "int8+int4": lambda: quantize(whole, model, Scheme(embeddings=4)),
            "int8": lambda: quantize(whole, model),
            "float32": lambda: whole.replace(model),
        }
        if not isinstance(taught.student, EncoderStudent):
            del makers["int8+int4"]
        parity = Parity(0.0, 1.0, 0)
        for precision, make in makers.items():
            make()
            student = OnnxStudent.open(folder, taught.featurizer, threads=0)
            scores = student.logits(selection)
            after = shares(np.concatenate([scores, student.logits(more)])[:SAMPLE], sizes)
            parity = compare(before, after)
            cost, doubt = self._cost(before, after)
            allowed = LESS if precision == "int8+int4" else max(DROP, doubt)
            if parity.agreement >= SAME[precision] and cost <= allowed:
                return precision, parity, scores
        raise ExportMismatch(
            f"The exported student gives another answer than the trained one on {1 - parity.agreement:.1%} of "
            f"{parity.rows} rows, even as float32. Try another --student or --encoder."
        )

    def _cost(self, before: list[Floats], after: list[Floats]) -> tuple[float, float]:
        """By how much less an export agrees with the teacher than the trained student, and the standard error of it.

        Both are shares of the selection rows.
        """
        labels = self.lessons.selection.labels[:SAMPLE]
        old, new = (
            float(
                np.all(
                    [part[: len(labels)].argmax(1) == labels[:, at] for at, part in enumerate(fields)], axis=0
                ).mean()
            )
            for fields in (before, after)
        )
        return old - new, math.sqrt(old * (1 - old) / len(labels))

    def _temperatures(self, scores: Floats) -> list[float]:
        """What makes the exported student's confidence true on the selection rows, field by field."""
        labels = self.lessons.selection.labels
        return [
            fit_temperature(part, labels[:, at]) for at, part in enumerate(split_fields(scores, self.lessons.sizes))
        ]
