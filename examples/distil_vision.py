"""A convolutional teacher and a student of a twentieth of its size, on pictures that differ at every epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import stillhouse
from stillhouse.models.outputs import Layers
from stillhouse.objectives import DIST, CrossEntropy
from stillhouse.tasks.image import Augmentation, read_images
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.online import Online


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures [count, 16, 16] of noise with a bar: lying, standing, or falling; and which it is."""
    random = np.random.default_rng(0)
    labels = random.integers(3, size=count)
    made = random.integers(130, size=(count, 16, 16), dtype=np.uint8)
    for picture, label in zip(made, labels, strict=True):
        top, left = random.integers(2, 7, size=2)
        along = np.arange(8)
        rows = {0: np.full(8, top), 1: top + along, 2: top + along}[int(label)]
        columns = {0: left + along, 1: np.full(8, left), 2: left + along}[int(label)]
        picture[rows, columns] += 110
    return made, labels


def net(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, 3),
    )


def main() -> tuple[float, float]:
    torch.manual_seed(0)
    images, labels = pictures(600)
    teacher = stillhouse.train(net(24), (images, labels), schedule=Schedule(epochs=6, rate=5)).student

    task = read_images(images, labels.tolist(), augmentation=Augmentation(crop=2, cutout=3), seed=0)
    measured, held_out = task.still(), range(500, 600)
    student = net(4)

    def accuracy(model: nn.Module) -> float:
        batch = measured.batch(held_out)
        with torch.no_grad():
            picked = measured.output(model, batch, Layers()).logits.argmax(-1)
        return float((picked == batch.labels).float().mean())

    before = accuracy(student)
    source = Online(task, Local(teacher, task), range(500), size=32, seed=0)
    lesson = Lesson(student, task, source, DIST() + 0.5 * CrossEntropy(), rates=[(student, 5e-3)])
    train(lesson, Schedule(epochs=8, evaluations=4), Watch(accuracy, lambda done, total, note: None))

    sizes = [sum(weight.numel() for weight in model.parameters()) for model in (teacher, student)]
    print(f"{sizes[0]:,} weights teach {sizes[1]:,}")
    print(f"right: teacher {accuracy(teacher):.0%}, student {before:.0%} -> {accuracy(student):.0%}")
    return before, accuracy(student)


if __name__ == "__main__":
    main()
