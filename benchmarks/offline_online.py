"""Learning from what a teacher told beforehand, beside learning from words alone and from a teacher in the process.

The same student (a Llama of 11.3M weights, over a vocabulary of 32,000) takes steps of 4 rows of 512 tokens, of which
the second half counts, through the same loop and optimizer, in one of these ways:

    words     cross-entropy with the next token: the plain step of supervised fine-tuning, and the measure of the others
    topk      forward KL to the teacher's likeliest 50 tokens and the rest in one bin, read from shards on the disk
    samples   cross-entropy with 50 draws from the teacher, read from shards on the disk
    online    forward KL to all the teacher's answers, asked at every step (35.2M weights)
    trl       the plain step of TRL's SFTTrainer, on the same weights and tokens (with `--peers`)

The first three also learn 2 rows at a time with a vocabulary of 151,936.

Signals are written once, before: `label_s` is the CPU time of teacher and writer for a step's worth of tokens, and
bytes are those of the shards by the tokens they speak of. The teacher is random, sharpened to 4 nats of entropy, and
no token is likelier than another throughout: ids take more bytes than those of a language model, which
benchmarks/signals.py has. `source_s` is the CPU time of a step that goes into its batch and the teacher's word on it.

Every measurement is a process of its own; the ways of the first three lines take turns, and a ratio is the median of
the rounds'; the others, which are several times as slow, are measured once. The first and the last step are not timed.
Times and memory are those of kd_step.py: `process_mb` is the whole process, `peak_mb` what it held above what was there
before the models were made, `beyond_mb` that less weights, gradients and optimizer state; without a teacher in the
process, the student's alone. Run it on an idle core: a neighbour's cache misses are more than what is to be seen.

    python benchmarks/offline_online.py --peers PEERS --out benchmarks/results/offline_online.json

`--peers` is the folder of kd_step.py; without it TRL is left out. It takes about ten minutes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from steps import (
    Case,
    Found,
    Meter,
    Method,
    alone,
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
from stillhouse.models.scores import Projection
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals import told
from stillhouse.signals.codec import Codec, SampledCodec, TopKCodec
from stillhouse.signals.sampling import draw_tokens
from stillhouse.signals.shards import Origin, ShardReader, ShardWriter
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import Local
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online
from stillhouse.training.source import Source

KEPT = 50
WAYS = ("words", "topk", "samples")


def words(case: Case, meter: Meter, folder: Path) -> Found:
    return learn(case, meter, Offline(case.task(), range(case.samples), case.rows, case.seed), CrossEntropy())


def topk(case: Case, meter: Meter, folder: Path) -> Found:
    return learn(case, meter, kept(case, folder / "topk"), ForwardKL())


def samples(case: Case, meter: Meter, folder: Path) -> Found:
    return learn(case, meter, kept(case, folder / "samples"), ForwardKL())


def online(case: Case, meter: Meter, folder: Path) -> Found:
    local = teacher(case, meter.device)
    source = Online(case.task(), local, range(case.samples), case.rows, case.seed)
    return learn(case, meter, source, ForwardKL(), local)


def trl(case: Case, meter: Meter, folder: Path) -> Found:
    made = importlib.import_module("trl")
    student = case.model("student", meter.device)
    plain = {"dataset_kwargs": {"skip_prepare_dataset": True}, "remove_unused_columns": False}
    settings = made.SFTConfig(**plain, **trainer_settings(case, meter.device))
    losses = train_rival(case, meter, lambda **given: made.SFTTrainer(student, settings, **given))
    return {**meter.found(student, None), "last_loss": losses[-1]}


def learn(case: Case, meter: Meter, source: Source, objective: Objective, local: Local | None = None) -> Found:
    student = case.model("student", meter.device)
    last = train_timed(case, student, source, objective, meter)
    return {**meter.found(student, None if local is None else local.model), "last_loss": last}


def kept(case: Case, folder: Path) -> Source:
    """Signals on the disk as a teacher."""
    cached = Cached(ShardReader(folder), [str(row) for row in range(case.samples)])
    return Online(case.task(), cached, range(case.samples), case.rows, case.seed)


def teacher(case: Case, device: str) -> Local:
    model = case.model("teacher", device)
    return Local(model, case.task(), dtype=torch.bfloat16 if device == "cuda" else None)


def label(case: Case, meter: Meter, folder: Path) -> Found:
    """Write both kinds of signals; what they took."""
    local, task, started = teacher(case, meter.device), case.task(), time.process_time()
    forms: dict[str, Codec] = {
        "topk": TopKCodec(case.vocabulary, KEPT),
        "samples": SampledCodec(case.vocabulary, KEPT),
    }
    writers = {name: ShardWriter(folder / name, "0", Origin("", "", ""), codec) for name, codec in forms.items()}
    spent = dict.fromkeys(forms, 0.0)
    for row in range(case.samples):
        batch = task.batch([row])
        heard = local.observe(batch, Layers())
        assert isinstance(heard.scores, Projection)
        assert heard.told is not None
        logits = heard.scores[heard.told].logits().cpu().numpy()
        where = heard.told[0].nonzero().squeeze(-1).cpu().numpy()
        for name, writer in writers.items():
            begun = time.process_time()
            signal = told.TopK.of(logits, KEPT) if name == "topk" else draw_tokens(logits, KEPT, str(row), case.seed)
            writer.append(str(row), signal.spread(where, (1, int(where[-1]) + 1))[0])
            spent[name] += time.process_time() - begun
    asked = (time.process_time() - started - sum(spent.values())) / case.batches
    found = {"teacher_s": asked}
    for name, writer in writers.items():
        begun = time.process_time()
        size = writer.finish().stat().st_size
        found[f"{name}_label_s"] = asked + (spent[name] + time.process_time() - begun) / case.batches
        found[f"{name}_bytes_per_token"] = size / (case.samples * case.counted)
    return found


METHODS: dict[str, Method] = {
    "words": words,
    "topk": topk,
    "samples": samples,
    "online": online,
    "trl": trl,
    "label": label,
}


def main() -> int:
    given = parse(sys.argv[1:], __doc__)
    if given.one:
        return one(given, METHODS)
    started = time.monotonic()
    cases = [measure(case, given) for case in cases_of(given)]
    result = {
        "benchmark": "offline_online",
        "command": command(given),
        "seed": given.seed,
        "kept": KEPT,
        **machine(given),
        "seconds": round(time.monotonic() - started),
        "cases": cases,
        "targets": targets(cases, given.device),
    }
    return deliver(result, lines(result), given)


def cases_of(given: argparse.Namespace) -> list[Case]:
    """The vocabulary of kd_step.py, and one of a size that is usual now."""
    if given.quick:
        return [Case("small", rows=2, tokens=256, steps=6, batches=6, seed=given.seed)]
    large = Case("large vocabulary", vocabulary=151_936, rows=2, steps=5, batches=5, rival=False, seed=given.seed)
    return [Case("vocabulary of 32,000", steps=8, batches=8, seed=given.seed), large]


def measure(case: Case, given: argparse.Namespace) -> dict[str, Any]:
    """Signals once, then every way in turn: the median of each, and of its ratio to the plain step."""
    tell(f"{case.name}: {case.rows} rows of {case.tokens} tokens, {case.vocabulary:,} labels")
    rounds = given.rounds or (1 if given.quick else 3 if case.rival else 2)
    with tempfile.TemporaryDirectory() as place:
        labelled = alone("label", case, given, Path(place))
        runs, left_out = in_turn(WAYS, case, given, rounds, Path(place))
        if case.rival:
            more, left_out = in_turn(["online", *(["trl"] if given.peers else [])], case, given, 1, Path(place))
            runs |= more
    return {
        **{name: value for name, value in asdict(case).items() if name not in ("beta", "rival")},
        "rounds": rounds,
        "labels": labelled,
        "methods": {name: middle(some) for name, some in runs.items()},
        "by_the_plain_step": {
            name: ratios(some, runs["words"] if len(some) == rounds else [middle(runs["words"])])
            for name, some in runs.items()
            if name != "words"
        },
        "left_out": left_out,
    }


def targets(cases: Sequence[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """What was to be reached: a step from kept signals costs what a plain step costs."""
    clock = "wall_s" if device == "cuda" else "cpu_s"
    return [
        goal(f"{case['name']}, {name}: {clock} by that of the plain step", 1.05, case["by_the_plain_step"][name][clock])
        for case in cases
        for name in WAYS[1:]
    ]


def lines(result: dict[str, Any]) -> Iterator[str]:
    """A result as people read it."""
    for case in result["cases"]:
        yield f"\n{case['name']}: {case['rows']} rows of {case['tokens']} tokens, {case['vocabulary']:,} labels"
        for name, figures in case["methods"].items():
            share = case["by_the_plain_step"].get(name, {"cpu_s": 1.0})["cpu_s"]
            yield f"  {name:<8} {share:5.3f}: {figures_line(figures)}"
        yield "  written: " + ", ".join(f"{name} {value:.3g}" for name, value in case["labels"].items())
        for name, reason in case["left_out"].items():
            yield f"  {name:<8} left out: {reason}"


if __name__ == "__main__":
    sys.exit(main())
