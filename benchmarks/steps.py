"""No benchmark, but what those of training steps share: models made at random, a meter, fresh processes, and JSON."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import json
import logging
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from stillhouse.extras import version
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.objectives.objective import Objective
from stillhouse.recipes.provenance import versions
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.chat import ChatTask
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.source import Share, Source

MB = 1 << 20
RATE = 1e-4
SHARP = {"student": 1.0, "teacher": 3.5}
"""The deviation of the logits: the teacher's entropy is then about that of a language model, 4 nats."""
Found = dict[str, float]


@dataclass(frozen=True)
class Size:
    """A Llama with a tied head."""

    width: int
    layers: int
    ffn: int
    heads: int


@dataclass(frozen=True)
class Case:
    """A run of so many steps over so many batches of `rows` by `tokens`; the first `masked` of a row does not count."""

    name: str
    beta: float = 0.5
    rows: int = 4
    tokens: int = 512
    masked: float = 0.5
    vocabulary: int = 32_000
    student: Size = Size(256, 4, 680, 4)
    teacher: Size = Size(512, 6, 1360, 8)
    steps: int = 3
    batches: int = 1
    rival: bool = True
    seed: int = 0

    @classmethod
    def read(cls, words: str) -> Case:
        said = json.loads(words)
        return cls(**{**said, **{name: Size(**said[name]) for name in ("student", "teacher")}})

    @property
    def counted(self) -> int:
        """Tokens of a row that count; the first never does, as nothing comes before it."""
        return self.tokens - max(1, int(self.tokens * self.masked))

    @property
    def samples(self) -> int:
        return self.rows * self.batches

    def weights(self, size: Size) -> int:
        """Weights of a model's blocks, without embedding and norms."""
        return size.layers * (4 * size.width**2 + 3 * size.width * size.ffn)

    @property
    def floor(self) -> float:
        """FLOP of the products of matrices that no method can do without, attention's own left out."""
        tokens, counted = self.rows * self.tokens, self.rows * self.counted
        return sum(
            times * (self.weights(size) * tokens + self.vocabulary * size.width * counted)
            for times, size in ((6, self.student), (2, self.teacher))
        )

    def task(self) -> ChatTask:
        """Rows of random tokens."""
        random = np.random.default_rng(self.seed)
        ids = random.integers(2, self.vocabulary, (self.samples, self.tokens))
        counted = np.arange(self.tokens) >= self.tokens - self.counted
        return ChatTask(list(ids), [counted] * len(ids), self.vocabulary)

    def model(self, who: str, device: str) -> LlamaForCausalLM:
        """A model made at random, the teacher's weights in half precision on a GPU."""
        size = self.student if who == "student" else self.teacher
        torch.manual_seed(self.seed + len(who))
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=size.width,
            intermediate_size=size.ffn,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            max_position_embeddings=self.tokens,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
            use_cache=False,
        )
        with torch.device(device):
            model = LlamaForCausalLM(config)
        decoder: Any = model.get_decoder()
        nn.init.constant_(decoder.norm.weight, SHARP[who] / (config.initializer_range * size.width**0.5))
        return model.bfloat16() if who == "teacher" and device == "cuda" else model


class Meter:
    """Where time and memory stood at the end of every step."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.sources: list[float] = []
        """CPU-seconds that went into the batches of each step, where our loop asks for them."""
        self._marks: list[tuple[float, float, Any]] = []
        self._peaks: list[tuple[float, float]] = []
        self._before = self._now()

    def reset(self) -> None:
        """From here on the highest counts."""
        if self.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        else:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")

    def tick(self) -> None:
        """A step has ended."""
        event = None
        if self.device == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._peaks.append((torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()))
        else:
            self._peaks.append((status("VmHWM"), status("VmHWM")))
        self._marks.append((time.perf_counter(), time.process_time(), event))

    def found(self, student: nn.Module, teacher: nn.Module | None) -> Found:
        """Of a step without the first and the last: the median of its seconds; and megabytes until then."""
        marks = self._marks[:-1]
        wall = [self._seconds(one, other) for one, other in pairwise(marks)]
        (peak, process), learns = self._peaks[-2], bytes_of(student)
        above = (peak - self._before) / MB
        return {
            "cpu_s": statistics.median(other[1] - one[1] for one, other in pairwise(marks)),
            "wall_s": statistics.median(wall),
            **({"source_s": statistics.median(self.sources[1:-1])} if self.sources else {}),
            "process_mb": process / MB,
            "peak_mb": above,
            "beyond_mb": above - (4 * learns + (0 if teacher is None else bytes_of(teacher))) / MB,
        }

    def _seconds(self, one: tuple[float, float, Any], other: tuple[float, float, Any]) -> float:
        if self.device != "cuda":
            return other[0] - one[0]
        torch.cuda.synchronize()
        return one[2].elapsed_time(other[2]) / 1000

    def _now(self) -> float:
        if self.device == "cuda":
            return torch.cuda.memory_allocated()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return status("VmRSS")


class Timed:
    """A source that says when a step has ended."""

    def __init__(self, inner: Source, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    @property
    def tells(self) -> frozenset[Kind]:
        return self._inner.tells

    @property
    def steps(self) -> int:
        return self._inner.steps

    @property
    def follows(self) -> bool:
        return self._inner.follows

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._inner.begin(student, layers)

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        started = time.process_time()
        pieces = list(self._inner.step(epoch, number, share))
        self._meter.sources.append(time.process_time() - started)
        return iter(pieces)

    def stepped(self, student: nn.Module) -> None:
        self._inner.stepped(student)
        self._meter.tick()

    def state(self) -> dict[str, Any]:
        return self._inner.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._inner.restore(state)


def train_timed(case: Case, student: nn.Module, source: Source, objective: Objective, meter: Meter) -> float:
    """Train as our loop does, the end of every step told to the meter; the loss of the last step."""
    losses: list[float] = []
    schedule = Schedule(
        epochs=case.steps // case.batches,
        shape="constant",
        warmup=0,
        weight_decay=0,
        evaluations=1,
        precision="bf16" if meter.device == "cuda" else "no",
        seed=case.seed,
    )
    watch = Watch(
        score=lambda student: 0.0,
        tell=lambda step, steps, note: None,
        log=lambda step, figures: losses.append(figures["loss"]),
        log_every=case.steps,
    )
    lesson = Lesson(student, case.task(), Timed(source, meter), objective, rates=[(student, RATE)])
    meter.reset()
    train(lesson, schedule, watch)
    return losses[-1]


def trainer_settings(case: Case, device: str) -> dict[str, Any]:
    """What a trainer of Transformers needs to do the same as ours, and to write nothing."""
    return {
        "output_dir": tempfile.gettempdir(),
        "save_strategy": "no",
        "report_to": [],
        "logging_steps": 1,
        "disable_tqdm": True,
        "per_device_train_batch_size": case.rows,
        "max_steps": case.steps,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused",
        "adam_beta2": 0.98,
        "adam_epsilon": 1e-6,
        "gradient_checkpointing": False,
        "bf16": device == "cuda",
        "use_cpu": device == "cpu",
        "seed": case.seed,
    }


def train_rival(case: Case, meter: Meter, make: Callable[..., Any]) -> list[float]:
    """Train by a trainer of Transformers; the losses of its steps."""
    logging.disable(logging.WARNING)
    dataset = importlib.import_module("datasets").Dataset
    task = case.task()

    class Ticks(TrainerCallback):
        def on_step_end(self, *words: Any, **named: Any) -> None:
            meter.tick()

    def collate(rows: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        numbers = [row["row"] for row in rows]
        ids = torch.from_numpy(np.stack([task.ids[number] for number in numbers]))
        counted = torch.from_numpy(np.stack([task.counted[number] for number in numbers]))
        labels = torch.where(counted, ids, -100)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}

    trainer = make(
        data_collator=collate,
        train_dataset=dataset.from_list([{"row": number} for number in range(len(task.ids))]),
        processing_class=words_of(case.vocabulary),
        callbacks=[Ticks()],
    )
    meter.reset()
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def words_of(vocabulary: int) -> Any:
    """A tokenizer that trainers want to see; nothing is read by it."""
    tokenizers, transformers = (importlib.import_module(name) for name in ("tokenizers", "transformers"))
    known = {f"w{number}": number for number in range(vocabulary)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="w0"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token="w1")


Method = Callable[[Case, Meter, Path], Found]
"""What measures a case in a process of its own; the folder holds what was made for it beforehand."""


def parse(words: Sequence[str], about: str | None) -> argparse.Namespace:
    """The options that these benchmarks have in common."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder that holds the packages to compare with, or their Python")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of a CPU")
    parser.add_argument("--rounds", type=int, help="how often sides take turns")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small batches and one round: under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--out", type=Path, help="write that JSON to this file too")
    for name in ("--one", "--case", "--folder"):  # how a process of its own is told what to measure
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def in_turn(
    methods: Sequence[str], case: Case, given: argparse.Namespace, rounds: int, folder: Path = Path()
) -> tuple[dict[str, list[Found]], dict[str, str]]:
    """What every method measures, round by round; and why methods were left out, which ours never are."""
    runs: dict[str, list[Found]] = {}
    left_out: dict[str, str] = {}
    for _ in range(rounds):
        for method in methods:
            if method in left_out:
                continue
            try:
                runs.setdefault(method, []).append(alone(method, case, given, folder))
            except Failed as failure:
                if not method.startswith("trl"):
                    raise SystemExit(str(failure)) from failure
                left_out[method] = failure.reason
                del runs[method]
    return runs, left_out


def middle(runs: Sequence[Mapping[str, float]]) -> Found:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def ratios(ours: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]]) -> Found:
    """The median over the rounds of ours by theirs, figure by figure."""
    pairs = list(zip(ours, others, strict=True))
    both = [name for name in pairs[0][0] if name in pairs[0][1]]
    return {name: statistics.median(one[name] / other[name] for one, other in pairs) for name in both}


class Failed(Exception):
    """A process of its own did not come to its end."""

    def __init__(self, method: str, said: str) -> None:
        self.reason = next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
        super().__init__(f"{method} failed: {self.reason}")


def alone(method: str, case: Case, given: argparse.Namespace, folder: Path = Path()) -> Found:
    """What a method measures in a fresh process; Failed where it does not end well."""
    words = [sys.executable, sys.argv[0], "--one", method, "--case", json.dumps(asdict(case)), "--folder", str(folder)]
    words += ["--device", given.device, "--threads", str(given.threads)]
    words += ["--peers", str(given.peers)] if given.peers else []
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if given.device == "cpu" else {}
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads), "HF_HUB_OFFLINE": "1", **hidden}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise Failed(method, done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    tell(f"  {method}: " + ", ".join(f"{name} {value:.5g}" for name, value in found.items()))
    return found


def one(given: argparse.Namespace, methods: Mapping[str, Method]) -> int:
    """Measure one thing in this process, and print it."""
    torch.set_num_threads(given.threads)
    if given.peers and given.one.startswith("trl"):
        sys.path.append(str(packages(given.peers)))
        for name in ("datasets", "trl.experimental.gkd", "trl.trainer.sft_trainer"):
            importlib.import_module(name)
    with contextlib.redirect_stdout(sys.stderr):
        case = Case.read(given.case)
        load(case, methods, given)
        found = methods[given.one](case, Meter(given.device), Path(given.folder))
    print(json.dumps(found))
    return 0


def load(case: Case, methods: Mapping[str, Method], given: argparse.Namespace) -> None:
    """Do the same with next to nothing, so that all that is loaded when first used is there before anything counts."""
    small = Size(16, 1, 16, 2)
    tiny = replace(case, tokens=16, vocabulary=64, student=small, teacher=small, steps=3, batches=1)
    with tempfile.TemporaryDirectory() as place:
        for method in dict.fromkeys(name for name in ("label", given.one) if name in methods):
            methods[method](tiny, Meter(given.device), Path(place))


def packages(peers: Path) -> Path:
    """The folder of the packages, where their Python may have been named."""
    if peers.is_dir():
        return peers.resolve()
    asked = [str(peers), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def status(name: str) -> int:
    """A figure of this process in bytes."""
    found = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in found if line.startswith(name + ":"))


def bytes_of(model: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def command(given: argparse.Namespace) -> str:
    """What was typed, without the places of this machine."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    for name, value in (("PEERS", given.peers), ("FILE", given.out)):
        words = [name if value is not None and word == str(value) else word for word in words]
    return shlex.join(["python", f"benchmarks/{words[0]}", *words[1:]])


def machine(given: argparse.Namespace) -> dict[str, Any]:
    """What it ran on and with."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in about if line.startswith("model name")), "CPU")
    found = versions() | {"accelerate": version("accelerate")}
    if given.peers:
        sys.path.append(str(packages(given.peers)))
        found |= {"trl": version("trl")}
    return {
        "device": torch.cuda.get_device_name() if given.device == "cuda" else cpu,
        "threads": given.threads,
        "dtype": "bfloat16" if given.device == "cuda" else "float32",
        "versions": found,
    }


def goal(name: str, target: float, measured: float) -> dict[str, Any]:
    """Something that is to be at most so much."""
    return {"name": name, "target": target, "measured": measured, "met": measured <= target}


def deliver(result: dict[str, Any], lines: Iterator[str], given: argparse.Namespace) -> int:
    """Print a result, for programs or people, and write it where that is wanted."""
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if given.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"{result['device']}, {result['threads']} thread(s), {result['dtype']}", *lines, "", sep="\n")
    for one in result["targets"]:
        measured = f"{one['measured']:.4g} (target {one['target']:.4g})"
        print(f"{'met ' if one['met'] else 'MISS'} {one['name']}: {measured}")
    return 0


def figures_line(figures: Mapping[str, float]) -> str:
    return (
        f"{figures['cpu_s']:7.2f} CPU-s {figures['wall_s']:7.2f} s, process {figures['process_mb']:6.0f} MB, "
        f"of the step {figures['peak_mb']:6.0f} MB, beyond what must be {figures['beyond_mb']:6.0f} MB"
    )


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
