"""What Triton's interpreter makes of the kernels, in a process of its own: how far they lie from the plain maths.

Run with TRITON_INTERPRET=1, as the interpreter is chosen when Triton is imported. Prints, by case, the largest
difference of the value and of each gradient, relative to the largest number of its kind; and which objectives of
extreme logits have finite values and gradients.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from stillhouse.models.outputs import StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection
from stillhouse.objectives import triton_kernels
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.response import (
    CrossEntropy,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    SkewedForwardKL,
    SkewedReverseKL,
    TotalVariation,
)
from tests.objectives.matters import Given, forms, in_form, language, leaves

OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": CrossEntropy(),
    "cross-entropy smoothed": CrossEntropy(0.1),
    "forward": ForwardKL(),
    "forward at 2": ForwardKL(temperature=2),
    "reverse at 4": ReverseKL(temperature=4),
    "jensen-shannon": JensenShannon(),
    "jensen-shannon 0.1 at 2": JensenShannon(0.1, 2),
    "skewed forward": SkewedForwardKL(),
    "skewed reverse at 2": SkewedReverseKL(0.3, 2),
    "total variation": TotalVariation(),
    "a sum": 0.7 * ForwardKL(temperature=2) + 0.3 * CrossEntropy(),
    "a longer sum": 0.5 * ReverseKL() + 0.2 * JensenShannon(0.3, 4) + CrossEntropy(0.2) + 2 * ForwardKL(temperature=2),
}
SIZES = ((300, 300), (300, 260), (260, 300))
"""Labels of student and teacher: three blocks of `BLOCK`, of which the last is not full."""
BLOCK = 128
Case = tuple[Objective, Given]


def few(form: str, labels: tuple[int, int], dtype: torch.dtype) -> Given:
    """Four positions of two language models, whose likelier labels tend to come last: sums grow as blocks are read."""
    student, teacher, batch = language("projection", labels, dtype)
    mine, its = (
        replace(scores, states=scores.states[:1, :4].detach().clone(), bias=2 * scores.bias.detach().sort().values)
        for scores in (student.scores, teacher.scores)
    )
    for leaf in leaves(mine):
        leaf.requires_grad_()
    batch = replace(batch, labels=batch.labels[:1, :4], rows=batch.rows[:1])
    return StudentOutput(mine), TeacherOutput(in_form(its, form), teacher.told[:1, :4]), batch


def through_heads(dtype: torch.dtype, sizes: Sequence[tuple[int, int]]) -> dict[str, Case]:
    """Every objective, for every form that a teacher's scores have."""
    found: dict[str, Case] = {}
    for name, objective in OBJECTIVES.items():
        for form in forms(objective):
            for labels in sizes if form == "projection" else sizes[:1]:
                found[f"{name}, {form}, {labels[0]} of {labels[1]}"] = objective, few(form, labels, dtype)
    return found


def others(dtype: torch.dtype) -> dict[str, Case]:
    """Logits without a head, a head without bias, scale and cap, and several teachers."""
    found: dict[str, Case] = {}
    for name, objective in OBJECTIVES.items():
        found[f"{name}, on logits"] = objective, on_logits(dtype)
        found[f"{name}, labels ruled out"] = objective, on_logits(dtype, ruled_out=True)
        found[f"{name}, far apart"] = objective, on_logits(dtype, scale=5)
    student, teacher, batch = few("projection", SIZES[0], dtype)
    other = replace(teacher.scores, weight=teacher.scores.weight.flip(0))
    mixed = Mixture((teacher.scores, other), torch.tensor([0.3, 0.7], dtype=dtype).expand(1, 4, 2))
    found["a mixture of teachers"] = JensenShannon(), (student, TeacherOutput(mixed, teacher.told), batch)
    bare = replace(student.scores, bias=None, scale=1.0, softcap=None)
    found["a bare head"] = ReverseKL(), (StudentOutput(bare), teacher, batch)
    return found


def on_logits(dtype: torch.dtype, scale: float = 1.0, ruled_out: bool = False) -> Given:
    """Logits that are there already; some labels may be minus infinity on one side or on both."""
    student, teacher, batch = few("dense", SIZES[0], dtype)
    mine, its = student.logits.detach() * scale, teacher.scores * scale
    if ruled_out:
        mine[..., 280:], its[..., 270:] = -torch.inf, -torch.inf
        batch = replace(batch, labels=batch.labels.clamp(max=250))
    return StudentOutput(mine.requires_grad_()), TeacherOutput(its, teacher.told), batch


def numbers(kernels: str, objective: Objective, given: Given) -> list[torch.Tensor]:
    """The value and the gradients."""
    os.environ["STILLHOUSE_KERNELS"] = kernels
    scores = given[0].scores
    wanted = [leaf for leaf in leaves(scores) if leaf is not None] if isinstance(scores, Projection) else [scores]
    loss = objective(*given).total
    return [loss.detach(), *torch.autograd.grad((loss * 1.7).sum(), wanted)]


def apart(objective: Objective, given: Given) -> list[float]:
    """How far kernels lie from the plain maths, relatively; of gradients near 0, as a share of 0.1."""
    pairs = zip(*(numbers(kernels, objective, given) for kernels in ("triton", "plain")), strict=True)
    return [float((own - right).abs().max() / right.abs().max().clamp(min=0.1)) for own, right in pairs]


def idle(objective: Objective, given: Given) -> list[float]:
    """How far the value lies from itself where nobody learns."""
    os.environ["STILLHOUSE_KERNELS"] = "triton"
    with torch.no_grad():
        value = objective(*given).total
    return [float((value - objective(*given).total).abs().max())]


def main() -> None:
    torch.set_num_threads(1)
    triton_kernels._BLOCK = BLOCK
    dtype = getattr(torch, sys.argv[1])
    chosen = through_heads(dtype, SIZES) | others(dtype) if dtype == torch.float32 else through_heads(dtype, SIZES[1:2])
    found = {name: apart(*case) for name, case in chosen.items()}
    found["without learning"] = idle(OBJECTIVES["a longer sum"], few("projection", SIZES[0], dtype))
    extreme = on_logits(dtype, scale=1e4)
    finite = {
        name: all(bool(number.isfinite().all()) for number in numbers("triton", objective, extreme))
        for name, objective in OBJECTIVES.items()
    }
    print(json.dumps({"apart": found, "finite": finite}))


if __name__ == "__main__":
    main()
