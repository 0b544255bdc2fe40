"""Quality at equal tokens: small language models taught by a larger one in every kind of answer, and without it.

    python benchmarks/quality.py [--data DIR] [--seeds N] [--quick] [--device cuda] [--json] [--out FILE]

A BPE tokenizer and a Llama-like teacher are trained here on rows out of the first nine tenths of War and Peace and of
Shakespeare; the last tenths are held out. Then students with a fifth of its weights see the same fifth of those rows,
as many tokens each, and learn by different objectives: from random weights, or cut out of the teacher. There is one
learning rate for each start, the same for every objective and tuned for none. A trial's seed decides the student's
first weights, the order of its rows, and the tenth of them that `stillhouse.train` holds out.

Signals on disk (the likeliest 16 or 50 with the mass of the rest; 12 or 50 draws) are written and read by
`stillhouse.signals`; how much of the teacher's mass the likeliest hold is shown.

For every student: held-out cross-entropy (nats a token), KL from the teacher to it, how often the likeliest token is
the teacher's, and which share of the gap between the student without a teacher and the teacher is closed. Intervals
are 95 % by Student's t over seeds; gains are paired by seed.

`--data` holds lm_text/: war_and_peace.txt.gz and tinyshakespeare.txt.gz.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import read_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trials import begin, clear, difference, finish, goal, interval, parser_of, precision, tell, words_of

import stillhouse
from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Projection, flat
from stillhouse.objectives import CrossEntropy, ForwardKL, HiddenStates, JensenShannon, ReverseKL
from stillhouse.objectives.objective import Objective
from stillhouse.signals import told
from stillhouse.signals.codec import Codec, SampledCodec, TopKCodec
from stillhouse.signals.sampling import draw_tokens
from stillhouse.signals.shards import Origin, ShardReader, ShardWriter
from stillhouse.tasks.chat import read_chat
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Schedule

TEXTS = ("war_and_peace", "tinyshakespeare")
CHARACTERS = 400
"""Of a row: about 130 tokens."""
BLOCK = 128
"""Tokens of a line of held-out text."""
TOPS, DRAWS = (16, 50), (12, 50)
"""What is kept on disk: so many of the likeliest tokens, and so many draws."""
BATCH = 8
"""Rows of a step: few, so that little text makes many steps."""
CONTROL = "cross-entropy alone"


@dataclass(frozen=True)
class Size:
    """How large the models are, and how much they see."""

    vocabulary: int = 2048
    width: int = 192
    layers: int = 4
    teacher_epochs: int = 1
    teacher_rows: int | None = 4_500
    student_rows: int = 900
    blocks: int = 200
    """Lines of held-out text."""


QUICK = Size(vocabulary=512, width=64, layers=2, teacher_epochs=1, teacher_rows=400, student_rows=80, blocks=16)


@dataclass(frozen=True)
class Arm:
    """One way to learn."""

    name: str
    start: str
    """`random` or `pruned`."""
    told: str
    """What is told of the teacher: `nothing`, `everything`, or a form of signal on disk, such as `top 16`."""
    objective: Callable[[], Objective]


def arms(layers: int) -> list[Arm]:
    """The ways to learn; the first of each start is without a teacher."""
    last = {0: layers // 2 - 1, layers // 2 - 1: layers - 1}
    return [
        Arm(CONTROL, "random", "nothing", CrossEntropy),
        Arm("forward KL", "random", "everything", ForwardKL),
        Arm("reverse KL", "random", "everything", ReverseKL),
        Arm("Jensen-Shannon", "random", "everything", JensenShannon),
        *(Arm(f"forward KL, top {k} and tail", "random", f"top {k}", ForwardKL) for k in TOPS),
        *(Arm(f"forward KL, {draws} draws", "random", f"{draws} draws", ForwardKL) for draws in DRAWS),
        Arm("forward KL and cross-entropy", "random", "everything", both),
        Arm(f"forward KL, top {TOPS[0]} and tail, and cross-entropy", "random", f"top {TOPS[0]}", both),
        Arm("forward KL and hidden states", "random", "everything", lambda: ForwardKL() + HIDDEN * HiddenStates(last)),
        Arm("cut out of the teacher, " + CONTROL, "pruned", "nothing", CrossEntropy),
        Arm("cut out of the teacher, forward KL", "pruned", "everything", ForwardKL),
    ]


def both() -> Objective:
    return 0.5 * ForwardKL() + 0.5 * CrossEntropy()


HIDDEN = 1.0
RATES = {"random": 10.0, "pruned": 5.0}
"""Multiples of 2e-4, the rate of `stillhouse.train` for models of Transformers."""


def main() -> int:
    options = parser_of(__doc__).parse_args()
    started = time.monotonic()
    begin(options)
    size = QUICK if options.quick else Size()
    material = read(options.data, size)
    teacher, seconds = taught_teacher(material, size, options.device)
    tell(f"teacher: {weights(teacher):,} weights, {seconds:.0f} s")
    with tempfile.TemporaryDirectory() as folder:
        found = students(teacher, material, size, options, Path(folder))
    found["teacher"]["seconds"] = round(seconds)
    return finish("quality", options, started, found | {"targets": targets(found)}, lines)


# What is read


@dataclass(frozen=True)
class Material:
    """The text as rows to learn from and as lines of tokens to measure on, and the tokenizer."""

    tokenizer: PreTrainedTokenizerFast
    rows: list[str]
    chosen: list[str]
    """The rows that students see."""
    test: Tensor
    """`[lines, BLOCK]`."""


def read(data: Path, size: Size) -> Material:
    rows: list[str] = []
    held: list[str] = []
    for name in TEXTS:
        text = read_text(data, name)
        cut = 9 * len(text) // 10
        rows += [text[start : start + CHARACTERS] for start in range(0, cut - CHARACTERS, CHARACTERS)]
        held.append(text[cut:])
    random = np.random.default_rng(0)
    order = random.permutation(len(rows))
    rows = [rows[at] for at in order if rows[at].strip()][: size.teacher_rows]
    reads = tokenizer_of(rows, size.vocabulary)
    chosen = [rows[at] for at in sorted(random.permutation(len(rows))[: size.student_rows])]
    blocks = torch.cat([blocks_of(reads, text) for text in held])
    some = np.linspace(0, len(blocks) - 1, min(size.blocks, len(blocks))).astype(np.int64)
    return Material(reads, rows, chosen, blocks[torch.from_numpy(some)])


def tokenizer_of(rows: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """BPE over bytes."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|pad|>", "<|end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(rows, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|pad|>", eos_token="<|end|>")


def blocks_of(reads: PreTrainedTokenizerFast, text: str) -> Tensor:
    """A text's tokens in lines: `[lines, BLOCK]`."""
    ids = torch.tensor(reads.backend_tokenizer.encode(text, add_special_tokens=False).ids)
    return ids[: len(ids) // BLOCK * BLOCK].view(-1, BLOCK)


# Who teaches, and what is kept of it


def taught_teacher(material: Material, size: Size, device: str) -> tuple[nn.Module, float]:
    """A teacher trained on all rows, and how long that took."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(material.tokenizer),
        hidden_size=size.width,
        intermediate_size=11 * size.width // 4,
        num_hidden_layers=size.layers,
        num_attention_heads=size.width // 32,
        num_key_value_heads=size.width // 32,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    schedule = Schedule(epochs=size.teacher_epochs, rate=8, evaluations=1, precision=precision())
    started = time.monotonic()
    data = material.rows
    done = stillhouse.train(LlamaForCausalLM(config), data, tokenizer=material.tokenizer, schedule=schedule, size=BATCH)
    return done.student, time.monotonic() - started


def kept(teacher: nn.Module, material: Material, folder: Path) -> tuple[dict[str, Cached], dict[str, Any]]:
    """What signals on disk tell of the chosen rows, by form; their bytes a token, and the mass the likeliest hold."""
    task = read_chat(material.chosen, material.tokenizer)
    asked = Local(teacher, task)
    forms: dict[str, tuple[Codec, Callable[[Any, str], told.Signal]]] = {
        f"top {k}": (TopKCodec(task.vocabulary, k), lambda logits, sample, k=k: told.TopK.of(logits, k)) for k in TOPS
    }
    for draws in DRAWS:
        draw = partial(draw_tokens, draws=draws)
        codec = SampledCodec(task.vocabulary, draws)
        forms[f"{draws} draws"] = (codec, lambda logits, sample, draw=draw: draw(logits, sample=sample))
    writers = {name: ShardWriter(folder / name, name, Origin("", "", ""), codec) for name, (codec, _) in forms.items()}
    tokens, mass = 0, dict.fromkeys(TOPS, 0.0)
    for start in range(0, len(task.ids), 32):
        part = list(range(start, min(start + 32, len(task.ids))))
        heard = asked.observe(task.batch(part), Layers())
        assert heard.scores is not None
        assert heard.told is not None
        every = flat(heard.scores)
        for at, row in enumerate(part):
            places = heard.told[at].nonzero().squeeze(-1)
            some = every[places + at * heard.told.shape[1]]
            assert isinstance(some, Projection)
            logits = some.logits().float().cpu().numpy()
            tokens += len(logits)
            for k in TOPS:
                mass[k] += float(np.exp(told.TopK.of(logits, k).log_probs.astype(np.float64)).sum())
            where = (places.cpu().numpy().astype(np.int64), (1, int(places[-1]) + 1))
            for name, (_, keep) in forms.items():
                writers[name].append(str(row), keep(logits, str(row)).spread(*where)[0])
    for writer in writers.values():
        writer.finish()
    samples = [str(row) for row in range(len(task.ids))]
    sizes = {name: sum(file.stat().st_size for file in (folder / name).glob("*.shard")) / tokens for name in forms}
    found = {"bytes_per_token": sizes, "mass": {f"top {k}": mass[k] / tokens for k in TOPS}}
    return {name: Cached(ShardReader(folder / name), samples) for name in forms}, found


# Who learns


def students(
    teacher: nn.Module, material: Material, size: Size, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Every way to learn at every seed, and what came of it."""
    signals, on_disk = kept(teacher, material, folder)
    tell(f"signals kept: {on_disk}")
    cut = pruned(teacher, material, size)
    says = log_probs(teacher, material.test)
    own = float(nll(says, material.test))
    ways = arms(size.layers)
    seen: dict[str, list[dict[str, float]]] = {way.name: [] for way in ways}
    for seed in range(options.seeds):
        for way in ways:
            student = beginner(way, cut, seed)
            asked = {"nothing": None, "everything": teacher, **signals}[way.told]
            schedule = Schedule(epochs=1, rate=RATES[way.start], evaluations=1, precision=precision(), seed=seed)
            learn = partial(stillhouse.train, tokenizer=material.tokenizer, schedule=schedule, size=BATCH)
            done = learn(student, material.chosen, teacher=asked, objective=way.objective())
            figures = measure(done.student, says, material.test) | {"seconds": done.seconds}
            seen[way.name].append(figures)
            tell(f"seed {seed}, {way.name}: {figures['nll']:.4f} nats, {done.seconds:.0f} s")
    task = read_chat(material.chosen, material.tokenizer)
    return {
        "data": {
            "texts": list(TEXTS),
            "teacher_rows": len(material.rows),
            "student_rows": len(material.chosen),
            "student_tokens": sum(map(len, task.ids)),
            "test_tokens": material.test[:, 1:].numel(),
            "vocabulary": len(material.tokenizer),
        },
        "teacher": {"weights": weights(teacher), "nll": own},
        "student": {"weights": weights(cut), "rate": {start: 2e-4 * rate for start, rate in RATES.items()}},
        "signals": on_disk,
        "students": [summary(way, seen, own) for way in ways],
    }


def pruned(teacher: nn.Module, material: Material, size: Size) -> nn.Module:
    """Half the teacher's blocks and half its width, by what some rows use most."""
    batches = [{"input_ids": torch.tensor([row])} for row in material_ids(material, 16)]
    place = next(teacher.parameters()).device
    batches = [{name: value.to(place) for name, value in batch.items()} for batch in batches]
    half = size.width // 2
    return stillhouse.shrink(teacher, size.layers // 2, half, half // 32, half // 32, 11 * half // 4, batches).cpu()


def material_ids(material: Material, rows: int) -> list[list[int]]:
    return [material.tokenizer.backend_tokenizer.encode(row).ids for row in material.chosen[:rows]]


def beginner(way: Arm, cut: Any, seed: int) -> nn.Module:
    """A student before it learns."""
    torch.manual_seed(seed)
    fresh = type(cut)(cut.config)
    if way.start == "pruned":
        fresh.load_state_dict(cut.state_dict())
    return fresh


def weights(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


# What came of it


@torch.no_grad()
def log_probs(model: nn.Module, blocks: Tensor) -> Tensor:
    """The log-probs of the next token: `[lines, BLOCK - 1, vocabulary]`, on the CPU."""
    place = next(model.parameters()).device
    parts = [model(input_ids=part.to(place)).logits[:, :-1].float().log_softmax(-1).cpu() for part in blocks.split(16)]
    return torch.cat(parts)


def nll(said: Tensor, blocks: Tensor) -> Tensor:
    return -said.gather(-1, blocks[:, 1:, None]).mean()


def measure(student: nn.Module, teacher: Tensor, blocks: Tensor) -> dict[str, float]:
    """A student's figures on held-out text."""
    said = log_probs(student, blocks)
    return {
        "nll": float(nll(said, blocks)),
        "kl_to_teacher": float((teacher.exp() * (teacher - said)).sum(-1).mean()),
        "top1_agreement": float((said.argmax(-1) == teacher.argmax(-1)).float().mean()),
    }


def summary(way: Arm, seen: dict[str, list[dict[str, float]]], own: float) -> dict[str, Any]:
    """One way to learn: figures with intervals, and what it gained over its control."""
    mine, plain = seen[way.name], seen[CONTROL]
    control = plain if way.start == "random" else seen["cut out of the teacher, " + CONTROL]

    def each(of: list[dict[str, float]], key: str) -> list[float]:
        return [figures[key] for figures in of]

    closed = [(base["nll"] - now["nll"]) / (base["nll"] - own) for now, base in zip(mine, plain, strict=True)]
    return {
        "name": way.name,
        "start": way.start,
        "told": way.told,
        **{key: interval(each(mine, key)) for key in ("nll", "kl_to_teacher", "top1_agreement")},
        "gap_closed": interval(closed),
        "nats_gained_over_no_teacher": difference(each(control, "nll"), each(mine, "nll")),
        "seconds": float(np.mean(each(mine, "seconds"))),
    }


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    by_name = {row["name"]: row for row in found["students"]}
    gained = {name: by_name[name]["nats_gained_over_no_teacher"] for name in by_name}
    whole = by_name["forward KL"]["nll"]
    forms = [f"top {TOPS[-1]} and tail", f"{DRAWS[-1]} draws"]
    apart = [difference(by_name[f"forward KL, {form}"]["nll"]["trials"], whole["trials"]) for form in forms]
    cut = by_name["cut out of the teacher, forward KL"]
    best = min(row["nll"]["mean"] for row in found["students"] if row["start"] == "random")
    sizes = found["signals"]["bytes_per_token"]
    return [
        goal(
            "forward KL gains over no teacher (nats)",
            "above 0",
            gained["forward KL"]["mean"],
            clear(gained["forward KL"]),
        ),
        *[
            goal(
                f"{name} costs against full logits (nats)",
                "at most 0.02 with its interval",
                part["mean"],
                part["mean"] + part["plus_minus"] <= 0.02,
            )
            for name, part in zip(forms, apart, strict=True)
        ],
        *[goal(f"bytes a token of {name}", "at most 64", cost, cost <= 64) for name, cost in sizes.items()],
        goal(
            "cut out of the teacher beats every student from random weights (nats)",
            "above 0",
            best - cut["nll"]["mean"],
            best > cut["nll"]["mean"] + cut["nll"]["plus_minus"],
        ),
        goal(
            "a student cut out of the teacher gains by forward KL (nats)",
            "above 0",
            gained[cut["name"]]["mean"],
            clear(gained[cut["name"]]),
        ),
    ]


def lines(result: dict[str, Any]) -> Iterator[str]:
    data = result["data"]
    yield (
        f"teacher of {result['teacher']['weights']:,} weights, {result['teacher']['nll']:.3f} nats a token; "
        f"students of {result['student']['weights']:,}, {data['student_tokens']:,} tokens each"
    )
    yield f"{'':<46} {'nats a token':>15} {'KL to teacher':>15} {'top-1 agreement':>15} {'gap closed':>15}"
    for row in result["students"]:
        figures = (words_of(row[key]) for key in ("nll", "kl_to_teacher", "top1_agreement", "gap_closed"))
        yield f"{row['name']:<46} " + " ".join(f"{figure:>15}" for figure in figures)
    sizes = result["signals"]["bytes_per_token"]
    yield "bytes a token on disk: " + ", ".join(f"{name} {cost:.1f}" for name, cost in sizes.items())
    mass = result["signals"]["mass"]
    yield "of the teacher's mass: " + ", ".join(f"{name} {share:.1%}" for name, share in mass.items())


if __name__ == "__main__":
    sys.exit(main())
