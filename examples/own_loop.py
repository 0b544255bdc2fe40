"""An objective in your own PyTorch loop: one line says what it costs, the next takes the gradient."""

from __future__ import annotations

import torch
from torch import nn

from stillhouse.objectives import DIST, CrossEntropy, compare


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(20, width), nn.ReLU(), nn.Linear(width, 5))


def accuracy(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model(inputs).argmax(-1) == labels).float().mean())


def main() -> dict[str, float]:
    torch.manual_seed(0)
    centres = 1.2 * torch.randn(5, 20)
    labels = torch.randint(5, (1_024,))
    inputs = centres[labels] + torch.randn(1_024, 20)
    teacher, student = net(64), net(4)

    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1e-2)
    for _ in range(100):
        nn.functional.cross_entropy(teacher(inputs), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    objective = 0.5 * DIST() + 0.5 * CrossEntropy()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-2)
    for _ in range(100):
        with torch.no_grad():
            told = teacher(inputs)
        cost = compare(objective, student(inputs), told, labels)
        (cost.total / cost.count).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    figures = {"teacher": accuracy(teacher, inputs, labels), "student": accuracy(student, inputs, labels)}
    print(", ".join(f"{name} {share:.1%} right" for name, share in figures.items()))
    return figures


if __name__ == "__main__":
    main()
