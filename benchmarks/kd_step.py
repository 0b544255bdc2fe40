"""A whole distillation step beside TRL's GKD trainer: both models, the loss, its gradient, the optimizer.

Student and teacher are Llamas made at random, with tied heads (11.3M and 35.2M weights), over a vocabulary of 32,000;
a step is 4 rows of 512 tokens, of which the second half counts. Both sides train the same weights on the same tokens
with the same AdamW (no decay, gradients clipped at 1), without dropout and without computing activations again, each
through its own trainer: `stillhouse.training` with a teacher beside the student, and GKDTrainer with lmbda = 0, which
is GKD on a fixed dataset. `beta` 0 is forward KL, 1 reverse KL, 0.5 Jensen-Shannon; the loss of the first step is that
of the same weights, the loss of the last says that what was learnt on the way is the same too.

Every measurement is a process of its own (the rival's imports TRL besides); sides take turns, and a ratio is the
median of the rounds'. The first step, which makes the optimizer's state, and the last, which is logged, are not timed.
CPU-seconds and wall seconds of a step are told; on a GPU wall is by its events and numbers are bfloat16 (autocast).
Memory is told in three ways, in MB of 2^20 bytes: `process_mb` is all that the process ever held while it trained,
with Python and its packages; `peak_mb` what it held above what was there before the models were made, when a tiny run
had loaded all that loads when first used; `beyond_mb` that less the weights of both models and the student's gradients
and optimizer state. Of the whole process an eighth cannot be reached here, as Python with torch and Transformers and
the two models take more than that; so `peak_mb` and `beyond_mb` have targets. On a GPU `process_mb` is what torch had
reserved, and the others what it had allocated.

    pip install --no-deps --target PEERS trl==1.16.0
    pip install --target PEERS datasets        # TRL imports it
    python benchmarks/kd_step.py --peers PEERS --out benchmarks/results/kd_step.json

`--peers` may also be the Python of an environment that has them; without it only our side is measured. One more case is
ours alone: a vocabulary of 151,936, hidden sizes of 256 and 512, and 2,048 tokens, all of which count; dense logits of
both models would take 2.5 GB there before anything is done with them. All takes about ten minutes on an idle core.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from steps import (
    Case,
    Found,
    Meter,
    Method,
    Size,
    command,
    deliver,
    figures_line,
    goal,
    in_turn,
    machine,
    middle,
    one,
    parse,
    ratios,
    tell,
    train_rival,
    train_timed,
    trainer_settings,
)

from stillhouse.models.outputs import Layers
from stillhouse.objectives.response import ForwardKL, JensenShannon, ReverseKL
from stillhouse.teachers.local import Local
from stillhouse.training.online import Online

LARGE = "large vocabulary"


def stillhouse(case: Case, meter: Meter, folder: Path) -> Found:
    """Our side: a teacher beside the student."""
    task, student = case.task(), case.model("student", meter.device)
    half = meter.device == "cuda"
    local = Local(case.model("teacher", meter.device), task, dtype=torch.bfloat16 if half else None)
    objective = {0.0: ForwardKL(), 1.0: ReverseKL()}.get(case.beta) or JensenShannon(case.beta)
    batch = task.batch(range(case.rows)).to(torch.device(meter.device))
    with torch.no_grad(), torch.autocast(meter.device, torch.bfloat16, enabled=half):
        sums = objective(task.output(student, batch, Layers()), local.observe(batch, Layers()), batch)
    source = Online(task, local, range(case.rows), case.rows, case.seed)
    last = train_timed(case, student, source, objective, meter)
    losses = {"first_loss": float(sums.total / sums.count), "last_loss": last}
    return {**meter.found(student, local.model), **losses}


def trl(case: Case, meter: Meter, folder: Path) -> Found:
    """TRL's side: its GKD trainer off policy, with its defaults but for what both sides have alike."""
    made = importlib.import_module("trl.experimental.gkd")
    student, teacher = case.model("student", meter.device), case.model("teacher", meter.device)
    settings = made.GKDConfig(lmbda=0.0, beta=case.beta, **trainer_settings(case, meter.device))
    losses = train_rival(case, meter, lambda **words: made.GKDTrainer(student, teacher, settings, **words))
    return {**meter.found(student, teacher), "first_loss": losses[0], "last_loss": losses[-1]}


METHODS: dict[str, Method] = {"stillhouse": stillhouse, "trl": trl}


def main() -> int:
    given = parse(sys.argv[1:], __doc__)
    if given.one:
        return one(given, METHODS)
    started = time.monotonic()
    cases = [measure(case, given) for case in cases_of(given)]
    result = {
        "benchmark": "kd_step",
        "command": command(given),
        "seed": given.seed,
        **machine(given),
        "seconds": round(time.monotonic() - started),
        "cases": cases,
        "targets": targets(cases, given.device),
    }
    return deliver(result, lines(result), given)


def cases_of(given: argparse.Namespace) -> list[Case]:
    """Three losses; on a CPU also a large vocabulary, on a GPU also models of a useful size."""
    rows, tokens = (2, 256) if given.quick else (4, 512)
    names = {0.0: "forward KL", 0.5: "Jensen-Shannon", 1.0: "reverse KL"}
    found = [Case(name, beta, rows, tokens, seed=given.seed) for beta, name in names.items()]
    large = Case(LARGE, masked=0, vocabulary=151_936, rival=False, seed=given.seed)
    if given.device == "cuda":
        student, teacher, tokens = Size(896, 24, 4864, 14), Size(2048, 36, 11008, 16), 1024 if given.quick else 4096
        sizes = replace(large, rows=1, tokens=tokens, student=student, teacher=teacher)
        return [*found, replace(sizes, name="half a billion from three", steps=5, rival=True)]
    return found if given.quick else [*found, large]


def measure(case: Case, given: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn: the median of each, and of the ratios."""
    tell(f"{case.name}: {case.rows} rows of {case.tokens} tokens, {case.vocabulary:,} labels")
    rivals = ["trl"] if given.peers and case.rival else []
    rounds = given.rounds or (1 if given.quick or not case.rival else 2)
    runs, left_out = in_turn(["stillhouse", *rivals], case, given, rounds)
    return {
        **{name: value for name, value in asdict(case).items() if name != "rival"},
        "floor_gflop": case.floor / 1e9,
        "rounds": rounds,
        "methods": {name: middle(some) for name, some in runs.items()},
        "ratios": ratios(runs["stillhouse"], runs["trl"]) if "trl" in runs else {},
        "left_out": left_out,
    }


def targets(cases: Sequence[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """What was to be reached, of the worst case each."""
    found: list[dict[str, Any]] = []
    pairs = [case["ratios"] for case in cases if case["ratios"]]
    if pairs:
        clock, close = ("wall_s", 1e-2) if device == "cuda" else ("cpu_s", 1e-3)
        apart = max(abs(pair[name] - 1) for pair in pairs for name in ("first_loss", "last_loss"))
        beyond, peak = (max(pair[name] for pair in pairs) for name in ("beyond_mb", "peak_mb"))
        found += [
            goal(
                f"{clock} of a step as a share of GKDTrainer's, slowest case", 1 / 3, max(pair[clock] for pair in pairs)
            ),
            goal("beyond_mb as a share of GKDTrainer's, largest", 1 / 8, beyond),
            goal("peak_mb as a share of GKDTrainer's, largest", 1 / 8, peak),
            goal("difference of the loss from its, relative, largest of first and last step", close, apart),
        ]
    for case in cases:
        if case["name"] == LARGE:
            beyond = case["methods"]["stillhouse"]["beyond_mb"]
            found.append(goal("beyond_mb at 2,048 tokens of 151,936 labels", 600, beyond))
    return found


def lines(result: dict[str, Any]) -> Iterator[str]:
    """A result as people read it."""
    for case in result["cases"]:
        yield f"\n{case['name']}: {case['rows']} rows of {case['tokens']} tokens, {case['vocabulary']:,} labels"
        for name, figures in case["methods"].items():
            yield f"  {name:<12} {figures_line(figures)}, loss {figures['first_loss']:.5f}"
        if case["ratios"]:
            yield "  ours by its  " + ", ".join(f"{name} {value:.3f}" for name, value in case["ratios"].items())
        for name, reason in case["left_out"].items():
            yield f"  {name:<12} left out: {reason}"


if __name__ == "__main__":
    sys.exit(main())
