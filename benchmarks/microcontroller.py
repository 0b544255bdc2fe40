"""Image students for microcontrollers: accuracy on Fashion-MNIST of compiled C, against the bytes of flash it takes.

    python benchmarks/microcontroller.py [--data DIR] [--home DIR] [--seeds N] [--quick] [--json]

A convolutional teacher learns Fashion-MNIST's training pictures. Students of three sizes, made of depthwise-separable
convolutions, learn the same pictures (moved and flipped), from their labels alone and from the teacher's answers with
the labels beside them: same starts, same batches, same epochs. The weights that do best on 5,000 training pictures held
out are kept. Each is then written as C99 with int8 weights and maps, whose ranges are chosen on 1,000 training
pictures, and compiled by this machine's C compiler.

What is measured is the compiled program: its accuracy on all 10,000 test pictures; how often it says what the float32
student says; whether it gives, bit for bit, the scores that numpy computes of the same whole numbers; flash (.text and
.rodata with -Os, without main.c), RAM (.data and .bss) and an upper bound for the stack; and how many products a
picture takes. Nothing was chosen by the test pictures.

`--data` holds fashion_mnist/; `--home` keeps finished trials, so that a run that was stopped goes on. A C compiler and
`size` (binutils) must be installed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from trials import begin, difference, finish, goal, interval, kept, parser_of, precision, tell, words_of

from stillhouse.export.c import Look, export_image_c
from stillhouse.export.c_build import Program, require_compiler
from stillhouse.export.c_integer import quantise, run_network
from stillhouse.export.c_layers import read_layers
from stillhouse.models.outputs import Layers
from stillhouse.objectives import CrossEntropy, ForwardKL
from stillhouse.objectives.objective import Objective
from stillhouse.tasks.image import Augmentation, ImageTask, read_images
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online
from stillhouse.training.source import Source

KIB = 1_024
HELD_OUT = 5_000
CALIBRATED_ON = 1_000
COMPARED = 500
"""Pictures on which C and numpy are compared bit for bit."""
LARGE = 100_000
"""Models of fewer weights learn faster in float32 than in bf16 (measured)."""
ALONE, TAUGHT = "labels alone", "distilled"
SHAPES: Mapping[str, tuple[int, Sequence[tuple[int, int]]]] = {
    "tiny": (8, ((16, 2), (32, 1), (48, 2), (48, 1))),
    "small": (16, ((48, 2), (64, 1), (96, 2), (128, 1), (128, 1))),
    "large": (16, ((64, 2), (128, 1), (192, 2), (256, 1), (320, 1))),
}
"""Channels of the first convolution, and channels and stride of each separable one."""


@dataclass(frozen=True)
class Size:
    """How much is shown, and how often."""

    rows: int | None = None
    test: int | None = None
    teacher_epochs: int = 8
    epochs: int = 8


QUICK = Size(rows=600, test=200, teacher_epochs=1, epochs=1)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--home", type=Path, help="keep finished trials here")
    options = parser.parse_args()
    started = time.monotonic()
    begin(options)
    require_compiler()
    found = Bench(options, QUICK if options.quick else Size()).run()
    return finish("microcontroller", options, started, found | {"targets": targets(found["students"])}, lines)


# Who teaches and who learns


def teacher_net() -> nn.Module:
    """Two convolutions at each of two halved sizes, and one before: 279,000 weights."""
    made: list[nn.Module] = [*conv(1, 32), nn.MaxPool2d(2), *conv(32, 64), *conv(64, 64), nn.MaxPool2d(2)]
    return nn.Sequential(*made, *conv(64, 128), *conv(128, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(128))


def student_net(name: str) -> nn.Module:
    """A convolution, separable ones (each channel by itself, then a mix of channels), a mean, and a linear layer."""
    width, blocks = SHAPES[name]
    made = conv(1, width)
    for out, stride in blocks:
        made += [*conv(width, width, stride=stride, groups=width), *conv(width, out, size=1)]
        width = out
    return nn.Sequential(*made, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(width))


def conv(into: int, out: int, size: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    made = nn.Conv2d(into, out, size, stride=stride, padding=size // 2, groups=groups, bias=False)
    return [made, nn.BatchNorm2d(out), nn.ReLU()]


def linear(width: int) -> nn.Module:
    return nn.Linear(width, 10)


@final
class Bench:
    """The pictures, the teacher, and every student of every seed."""

    def __init__(self, options: argparse.Namespace, size: Size) -> None:
        self.options, self.size = options, size
        folder = options.data / "fashion_mnist"
        pixels, labels = images(folder, "train")
        order = np.random.default_rng(0).permutation(len(labels))[: size.rows]
        held = min(HELD_OUT, len(order) // 10)
        self.pixels, self.labels = pixels[order], labels[order]
        self.held, self.learnt = range(held), range(held, len(order))
        self.test_pixels, self.test_labels = (part[: size.test] for part in images(folder, "t10k"))
        self.names = [f"class {at}" for at in range(10)]

    def run(self) -> dict[str, Any]:
        teacher = teacher_net()
        seconds = self.taught(teacher)
        said = self.says(teacher, self.test_pixels)
        top = accuracy(said, self.test_labels)
        tell(f"teacher: {top:.2%}, {seconds:.0f} s")
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for seed in range(self.options.seeds):
            for name in SHAPES:
                for how in (ALONE, TAUGHT):
                    told = (name, teacher if how == TAUGHT else None, seed)
                    row = kept(self.options.home, f"{name}, {how}, {seed}", partial(self.trial, *told))
                    found.setdefault((name, how), []).append(row)
                    tell(f"seed {seed}, {name}, {how}: {row['accuracy']:.2%} in C, {row['seconds']:.0f} s")
        students = [summary(name, how, rows, found[name, ALONE]) for (name, how), rows in found.items()]
        return {
            "data": {"rows": len(self.learnt), "held_out": len(self.held), "test": len(self.test_labels)},
            "epochs": {"teacher": self.size.teacher_epochs, "students": self.size.epochs},
            "teacher": {"accuracy": top, "weights": weights_of(teacher), "seconds": seconds},
            "students": students,
        }

    def taught(self, teacher: nn.Module) -> float:
        """Teach the teacher, or read what it learnt in a run that was stopped; how many seconds it took."""
        torch.manual_seed(0)
        teacher.load_state_dict(teacher_net().state_dict())
        path = self.options.home / "teacher.pt" if self.options.home else None
        if path and path.is_file():
            found = torch.load(path)
            teacher.load_state_dict(found["weights"])
            return found["seconds"]
        started = time.monotonic()
        self.teach(teacher, None, (self.size.teacher_epochs, 0))
        seconds = time.monotonic() - started
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"weights": teacher.state_dict(), "seconds": seconds}, path)
        return seconds

    def trial(self, name: str, teacher: nn.Module | None, seed: int) -> dict[str, Any]:
        """A student taught, written in C, and measured there."""
        torch.manual_seed(seed)
        started = time.monotonic()
        student = student_net(name)
        self.teach(student, teacher, (self.size.epochs, seed))
        seconds = time.monotonic() - started
        return self.measured(student.cpu().eval()) | {"seconds": seconds}

    def measured(self, student: nn.Module) -> dict[str, Any]:
        samples, compiler = self.pixels[self.learnt.start :][:CALIBRATED_ON], require_compiler()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "student"
            export_image_c(student, folder, samples, self.names, LOOK)
            told = json.loads((folder / "student.json").read_text(encoding="utf-8"))
            with Program(folder, compiler) as program:
                scores = program.scores(np.ascontiguousarray(self.test_pixels).tobytes())
        whole = self.says(student, self.test_pixels)
        network = quantise(read_layers(student, (1, 28, 28)), (1, 28, 28), LOOK, samples[..., None])
        exact = np.array_equal(scores[:COMPARED] * 2**16, run_network(network, self.test_pixels[:COMPARED, ..., None]))
        return {
            "accuracy": accuracy(scores, self.test_labels),
            "accuracy_float32": accuracy(whole, self.test_labels),
            "agreement": float((scores.argmax(1) == whole.argmax(1)).mean()),
            "bit_exact": bool(exact),
            **told["footprint"],
            "products": told["products"],
            "weights": weights_of(student),
        }

    def teach(self, model: nn.Module, teacher: nn.Module | None, trial: tuple[int, int]) -> None:
        """Train on the pictures that are learnt; the weights that do best on those held out are kept."""
        epochs, seed = trial
        varied = read_images(
            self.pixels, self.labels.tolist(), 10, augmentation=Augmentation(crop=2, flip=True), seed=seed
        )
        still = varied.still()
        source: Source = Offline(varied, self.learnt, 128, seed)
        objective: Objective = CrossEntropy()
        if teacher is not None:
            source = Online(varied, Local(teacher, varied), self.learnt, 128, seed)
            objective = 0.9 * ForwardKL(4) + 0.1 * CrossEntropy()
        lesson = Lesson(model, varied, source, objective, rates=[(model, 5e-3)])
        numbers = precision() if weights_of(model) > LARGE else "no"
        schedule = Schedule(epochs=epochs, evaluations=epochs, patience=epochs, precision=numbers, seed=seed)
        train(lesson, schedule, Watch(lambda now: self.score(now, still), lambda done, total, note: None))

    def score(self, model: nn.Module, task: ImageTask) -> float:
        """The share of the pictures held out that a model gets right."""
        return accuracy(says(model, task, self.held), self.labels[: self.held.stop])

    def says(self, model: nn.Module, pixels: np.ndarray) -> np.ndarray:
        """A model's scores `[rows, 10]`."""
        return says(model, read_images(pixels, classes=10), range(len(pixels)))


LOOK = Look()
"""As `read_images` shows pictures: mean and deviation 0.5."""


@torch.no_grad()
def says(model: nn.Module, task: ImageTask, rows: range) -> np.ndarray:
    device = next(model.parameters()).device
    parts: list[Tensor] = []
    for at in range(rows.start, rows.stop, 500):
        batch = task.batch(range(at, min(at + 500, rows.stop))).to(device)
        parts.append(task.output(model, batch, Layers()).logits[:, 0].float().cpu())
    return torch.cat(parts).numpy()


def images(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures `[count, 28, 28]` and labels `[count]`."""
    found: list[np.ndarray] = []
    for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
        path = folder / f"{part}-{kind}-ubyte.gz"
        if not path.is_file():
            raise SystemExit(f"{path} does not exist. Name the folder of the datasets: --data DIR")
        with gzip.open(path) as file:
            found.append(np.frombuffer(file.read(), dtype=np.uint8, offset=head))
    return found[0].reshape(-1, 28, 28), found[1].astype(np.int64)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(1) == labels).mean())


def weights_of(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


# What came of it


def summary(name: str, how: str, rows: list[dict[str, Any]], alone: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [row["accuracy"] for row in rows]
    return {
        "name": name,
        "how": how,
        "accuracy": interval(accuracies),
        "accuracy_float32": interval([row["accuracy_float32"] for row in rows]),
        "agreement": interval([row["agreement"] for row in rows]),
        "gain_over_labels_alone": difference(accuracies, [row["accuracy"] for row in alone]),
        "bit_exact": all(row["bit_exact"] for row in rows),
        **{key: max(row[key] for row in rows) for key in ("flash", "code", "ram", "stack", "products", "weights")},
        "compiler": rows[0]["compiler"],
        "seconds": float(np.mean([row["seconds"] for row in rows])),
    }


def targets(students: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for share, kib in ((0.90, 64), (0.92, 256)):
        fits = [row for row in students if row["flash"] < kib * KIB]
        best = max(fits, key=lambda row: row["accuracy"]["mean"], default=None)
        reached = best["accuracy"]["mean"] if best else 0.0
        found.append(goal(f"accuracy in C under {kib} KiB of flash", f">= {share:.0%}", reached, reached >= share))
    found.append(
        goal("C gives the scores of numpy's whole numbers", "always", *[all(row["bit_exact"] for row in students)] * 2)
    )
    least = min(row["agreement"]["mean"] for row in students)
    found.append(goal("C says what the float32 student says", ">= 98 %", least, least >= 0.98))
    for row in students:
        if row["how"] == TAUGHT:
            gain = row["gain_over_labels_alone"]["mean"]
            found.append(goal(f"{row['name']}: distilled less labels alone", "above 0", gain, gain > 0))
    return found


def lines(result: dict[str, Any]) -> Iterator[str]:
    teacher = result["teacher"]
    yield f"teacher of {teacher['weights']:,} weights: {teacher['accuracy']:.2%}"
    yield f"\n{'':<22} {'in C %':>14} {'float32 %':>14} {'same %':>7} {'flash':>8} {'RAM':>7} {'products':>10} {'s':>5}"
    for row in result["students"]:
        yield (
            f"{row['name'] + ', ' + row['how']:<22} {words_of(row['accuracy'], 100, 2):>14} "
            f"{words_of(row['accuracy_float32'], 100, 2):>14} {100 * row['agreement']['mean']:7.2f} {row['flash']:8,} "
            f"{row['ram']:7,} {row['products']:10,} {row['seconds']:5.0f}"
        )


if __name__ == "__main__":
    sys.exit(main())
