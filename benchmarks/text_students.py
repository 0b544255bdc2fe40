"""Text students against their teacher: accuracy, size and latency of every rung, with and without distillation.

The teacher is all-MiniLM-L6-v2 fine-tuned on each dataset's training labels. Every student is trained twice: on
the teacher's soft answers, and (the control) on the labels alone with as much text shown. Latency is at batch 1 on
one thread, tokenising included, teacher in PyTorch, teacher in ONNX and every student taking turns, 50 texts
each, in one process. A second table has 5, 10 and 50 answered calls per label and all other prompts unanswered.

    python benchmarks/text_students.py --data ../shared/data --json > benchmarks/results/text_students.json

The datasets on the hub: PolyAI/banking77, clinc/clinc_oos (plus), SetFit/sst2, fancyzhx/ag_news; each as
`<name>/train.jsonl.gz` and `<name>/test.jsonl.gz` of {"text", "label"} rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rows import read_rows

from stillhouse.export.onnx import export_onnx
from stillhouse.inference.onnx_student import OnnxStudent
from stillhouse.models.devices import choose
from stillhouse.models.load import fingerprint, locate
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.provenance import versions
from stillhouse.recipes.stages import Candidate, Stages
from stillhouse.students.ladder import Rung
from stillhouse.training.classroom import Classroom, Taught
from stillhouse.training.events import Event, StageDone
from stillhouse.training.lessons import Lessons, Part

ENCODER = "minilm"
FILES = {
    "banking77": ("train", None, "test"),
    "clinc150": ("train", "val", "test"),
    "sst2": ("train", "dev", "test"),
    "ag_news": ("train_subset", None, "test"),
}
LADDER = (Rung("words"), Rung("static"), Rung("encoder", 2), Rung("encoder", 6))
BLOCK = 50
"""Texts a runner answers before it is the next one's turn: caches are warm, as they are when one model serves."""
CONTROLS = ("words", "static", "encoder-2")
DISTILBERT = {"accuracy_kept": 0.97, "times_smaller": 1.7, "times_faster": 1.6, "source": "arxiv.org/abs/1910.01108"}


def main() -> int:
    arguments = parse(sys.argv[1:])
    names = ["banking77"] if arguments.quick else arguments.datasets
    with TemporaryDirectory() as scratch:
        home = arguments.home or Path(scratch)
        datasets = {name: full_labels(name, arguments, home) for name in names}
        few = [] if arguments.quick or arguments.no_few_labels else few_labels(arguments, home)
    result = {
        "benchmark": "text_students",
        "command": "python benchmarks/text_students.py " + " ".join(sys.argv[1:]),
        "encoder": "all-MiniLM-L6-v2",
        "seed": arguments.seed,
        "versions": versions(),
        "hardware": choose().reason,
        "datasets": datasets,
        "few_labels": few,
        "reference": {"DistilBERT": DISTILBERT},
        "targets": targets(datasets),
    }
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "../shared/data")
    parser.add_argument("--datasets", nargs="+", choices=list(FILES), default=list(FILES), help="all by default")
    parser.add_argument("--no-few-labels", action="store_true", help="leave the second table out")
    parser.add_argument("--home", type=Path, help="keep finished stages here, to go on after an interruption")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="BANKING77 alone, 2,000 rows, the two smallest rungs")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args(words)


def full_labels(name: str, arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    """One dataset with all its labels: the teacher, the ladder, the controls."""
    lessons, test = read(name, arguments)
    stages = open_stages(lessons, arguments.seed, home)
    assistant = stages.assistant()
    rungs = LADDER[:2] if arguments.quick else LADDER
    candidates = {rung.name: stages.candidate(rung, assistant) for rung in rungs}
    controls = {rung.name: stages.candidate(rung, None) for rung in rungs if rung.name in CONTROLS}
    teacher = stages.room.restore(stages.room.assistant(), assistant.path)
    size = Path(locate(ENCODER), "model.safetensors").stat().st_size
    pace = race(teacher, candidates, test.texts[:600])
    says = stages.room.logits(teacher, test.texts, precision="no").argmax(1)
    top = float((says == test.labels[:, 0]).mean())
    students = []
    for student, candidate in candidates.items():
        answers = answer(candidate, test.texts)
        control = answer(controls[student], test.texts) if student in controls else None
        accuracy = float((answers == test.labels[:, 0]).mean())
        weight = sum(path.stat().st_size for path in candidate.served_files)
        students.append(
            {
                "name": student,
                "accuracy": accuracy,
                "accuracy_kept": accuracy / top,
                "control_accuracy": None if control is None else float((control == test.labels[:, 0]).mean()),
                "agreement_with_teacher": float((answers == says).mean()),
                "precision": candidate.precision,
                "bytes": weight,
                "times_smaller": size / weight,
                "latency_ms_p50": pace[student],
                "times_faster_than_pytorch": pace["teacher in PyTorch"] / pace[student],
                "times_faster_than_onnx": pace["teacher in ONNX"] / pace[student],
            }
        )
    return {
        "rows": {"train": len(lessons.train), "selection": len(lessons.selection), "test": len(test)},
        "labels": lessons.sizes[0],
        "teacher": {
            "accuracy": top,
            "bytes": size,
            "latency_ms_p50_pytorch": pace["teacher in PyTorch"],
            "latency_ms_p50_onnx": pace["teacher in ONNX"],
        },
        "students": students,
    }


def few_labels(arguments: argparse.Namespace, home: Path) -> list[dict[str, Any]]:
    """BANKING77 with few answered calls per label: what the unanswered prompts are worth to the smallest rungs."""
    lessons, test = read("banking77", arguments)
    rows = []
    for each in (5, 10, 50):
        found: dict[str, list[float]] = {}
        for seed in range(3):
            some = forget(lessons, each, seed)
            stages = open_stages(some, seed, home)
            assistant = stages.assistant()
            teacher = stages.room.restore(stages.room.assistant(), assistant.path)
            found.setdefault("teacher", []).append(accuracy_of(stages, teacher, test))
            for rung in LADDER[:2]:
                distilled, control = stages.candidate(rung, assistant), stages.candidate(rung, None)
                for kind, student in (("distilled", distilled), ("control", control)):
                    right = float((answer(student, test.texts) == test.labels[:, 0]).mean())
                    found.setdefault(f"{rung.name} {kind}", []).append(right)
        rows.append({"answered_per_label": each, "seeds": 3, "accuracy": {k: interval(v) for k, v in found.items()}})
    return rows


def forget(lessons: Lessons, each: int, seed: int) -> Lessons:
    """The same lessons with answers to `each` rows of every label, drawn by seed; the others unanswered."""
    labels = lessons.train.labels.copy()
    random = np.random.default_rng(seed)
    for label in range(lessons.sizes[0]):
        rows = np.flatnonzero(lessons.train.labels[:, 0] == label)
        labels[random.permutation(rows)[each:]] = -1
    return replace(lessons, train=replace(lessons.train, labels=labels))


def interval(values: list[float]) -> dict[str, float]:
    """Mean and half the width of its 95 % interval (Student's t, two degrees of freedom)."""
    return {"mean": statistics.mean(values), "plus_minus": 4.303 * statistics.stdev(values) / len(values) ** 0.5}


def read(name: str, arguments: argparse.Namespace) -> tuple[Lessons, Part]:
    """A dataset's training and selection rows (a tenth of train where it brings none), and its test rows."""
    train, chosen, test = (
        [] if part is None else read_rows(arguments.data / name / f"{part}.jsonl.gz") for part in FILES[name]
    )
    order = np.random.default_rng(arguments.seed).permutation(len(train))
    train = [train[row] for row in order]
    if not chosen:
        chosen, train = train[: len(train) // 10], train[len(train) // 10 :]
    if arguments.quick:
        train, test = train[:2_000], test[:1_000]
    labels = {label: index for index, label in enumerate(sorted({str(row["label"]) for row in train}))}

    def part(rows: list[dict[str, Any]]) -> Part:
        known = np.array([[labels.get(str(row["label"]), -1)] for row in rows], dtype=np.int64)
        return Part([row["text"] for row in rows], known, np.full_like(known, -1))

    return Lessons(part(train), part(chosen), (len(labels),)), part(test)


def open_stages(lessons: Lessons, seed: int, home: Path) -> Stages:
    def tell(event: Event) -> None:
        if isinstance(event, StageDone):
            print(f"{event.stage:<12} {event.summary} ({event.seconds:.0f} s)", file=sys.stderr, flush=True)

    return Stages(StageCache(home, tell), Classroom(lessons, ENCODER, seed, choose()), fingerprint(ENCODER))


def answer(candidate: Candidate, texts: list[str]) -> np.ndarray[Any, Any]:
    """The exported student's label of each text."""
    return candidate.open(threads=0).logits(texts).argmax(1)


def accuracy_of(stages: Stages, teacher: Taught, test: Part) -> float:
    return float((stages.room.logits(teacher, test.texts).argmax(1) == test.labels[:, 0]).mean())


def race(teacher: Taught, students: dict[str, Candidate], texts: list[str]) -> dict[str, float]:
    """Median milliseconds a call, each runner taking its turn on every text; one thread, batch 1."""

    def in_pytorch(text: str) -> None:
        ids = torch.from_numpy(teacher.reader.ids([text])[0])[None]
        teacher.student(ids, torch.ones_like(ids))

    with TemporaryDirectory() as folder:
        export_onnx(teacher.student, Path(folder) / "model.onnx")
        assert teacher.tokenizer is not None
        teacher.tokenizer.save(str(Path(folder) / "tokenizer.json"))
        exported = OnnxStudent.open(Path(folder), teacher.featurizer)
        runners: dict[str, Callable[[str], object]] = {
            "teacher in PyTorch": in_pytorch,
            "teacher in ONNX": lambda text: exported.logits([text]),
        }
        for name, candidate in students.items():
            opened = candidate.open(threads=1)
            runners[name] = lambda text, opened=opened: opened.logits([text])
        return take_turns(runners, texts)


def take_turns(runners: dict[str, Callable[[str], object]], texts: list[str]) -> dict[str, float]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken: dict[str, list[float]] = {name: [] for name in runners}
    with torch.inference_mode():
        for block in range(0, len(texts), BLOCK):
            for name, run in runners.items():
                for text in texts[block : block + BLOCK]:
                    start = time.perf_counter()
                    run(text)
                    taken[name].append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return {name: 1e3 * statistics.median(times[len(times) // 10 :]) for name, times in taken.items()}


def targets(datasets: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """DESIGN's numbers, dataset by dataset: the rung that comes nearest is the one reported."""
    found = []
    for name, dataset in datasets.items():
        for goal, meets in (
            ("99 % of accuracy, 15 x smaller, 15 x faster than PyTorch, 5 x than ONNX", near),
            ("95 % of accuracy, 100 x faster than PyTorch", fast),
        ):
            best = max(dataset["students"], key=meets)
            keys = ("name", "accuracy_kept", "times_smaller", "times_faster_than_pytorch", "times_faster_than_onnx")
            measured = {key: best[key] for key in keys}
            found.append({"name": f"{name}: {goal}", "target": goal, "measured": measured, "met": meets(best) >= 1})
    return found


def near(student: dict[str, Any]) -> float:
    """1 or more when every part of the first target is met; else how near its weakest part is."""
    shares = (
        student["accuracy_kept"] / 0.99,
        student["times_smaller"] / 15,
        student["times_faster_than_pytorch"] / 15,
        student["times_faster_than_onnx"] / 5,
    )
    return min(shares)


def fast(student: dict[str, Any]) -> float:
    return min(student["accuracy_kept"] / 0.95, student["times_faster_than_pytorch"] / 100)


def show(result: dict[str, Any]) -> None:
    for name, dataset in result["datasets"].items():
        print(f"\n{name}: teacher {dataset['teacher']['accuracy']:.2%}")
        for row in dataset["students"]:
            control = "" if row["control_accuracy"] is None else f", alone {row['control_accuracy']:.2%}"
            print(
                f"  {row['name']:<10} {row['accuracy']:.2%} ({row['accuracy_kept']:.1%} of the teacher{control}), "
                f"{row['times_smaller']:.1f} x smaller, {row['times_faster_than_pytorch']:.0f} x faster than PyTorch, "
                f"{row['times_faster_than_onnx']:.0f} x than ONNX"
            )
    for row in result["few_labels"]:
        figures = ", ".join(f"{k} {v['mean']:.1%} ± {v['plus_minus']:.1%}" for k, v in row["accuracy"].items())
        print(f"\n{row['answered_per_label']} answers a label: {figures}")
    for target in result["targets"]:
        print(f"{'met   ' if target['met'] else 'missed'} {target['name']}")


if __name__ == "__main__":
    sys.exit(main())
