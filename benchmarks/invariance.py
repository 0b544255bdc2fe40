"""Does a run depend on how it is computed: killed and resumed, cut into micro-batches, shared among processes.

    python benchmarks/invariance.py [--peers PEERS] [--device cuda] [--quick] [--json]

Resuming: a run is a process; at a random step it is killed (SIGKILL) while a checkpoint is at most one step old, and
another process goes on from the checkpoint alone. Every step's loss and the final weights are compared bit by bit with
those of a run that was not killed, for each kind of source. Sharing: the same run as one micro-batch of eight rows,
eight of one, two processes (gloo), and two processes that also share the weights (FSDP2); losses and weights are
compared by their largest difference. Models are small Llamas without dropout, in float32; the dataset is made here.

With `--peers` (a folder that holds TRL 1.16 and `datasets`, as in fused_head.py) TRL's GKD trainer is asked the same:
resumed from its own checkpoints, and with gradients accumulated.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import logging
import multiprocessing
import os
import platform
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from stillhouse.extras import version
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.response import CrossEntropy, ForwardKL, JensenShannon
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import Local
from stillhouse.training.distributed import launch
from stillhouse.training.exits import AtExits, Exits
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.mutual import AmongPeers, Mutual, Peers
from stillhouse.training.offline import Offline
from stillhouse.training.on_policy import Mix, OnPolicy
from stillhouse.training.online import Online
from stillhouse.training.rollout import Speech
from stillhouse.training.self_distill import EMA, LastBlock
from stillhouse.training.source import Share, Source

VOCABULARY, END, ROWS, SIZE = 256, 1, 64, 8
TOLERANCE = 1e-6
SCHEDULE = Schedule(epochs=3, evaluations=3, patience=99, rate=3)
BOTH = 0.7 * ForwardKL(2) + 0.3 * CrossEntropy()


@dataclass(frozen=True)
class Given:
    """One kind of run."""

    student: nn.Module
    task: Task
    source: Source
    objective: Objective = BOTH


def task() -> ChatTask:
    """Prompts of random tokens, answered by counting on from the last."""
    random = np.random.default_rng(0)
    ids, counted = [], []
    for _ in range(ROWS):
        prompt = random.integers(2, VOCABULARY - 40, random.integers(3, 12))
        answer = [*(prompt[-1] + 1 + np.arange(random.integers(2, 20))), END]
        ids.append(np.array([*prompt, *answer]))
        counted.append(np.arange(len(ids[-1])) >= len(prompt))
    return ChatTask(ids, counted, VOCABULARY)


def model(seed: int, width: int = 64, layers: int = 3) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def teacher() -> Local:
    return Local(model(9, 96), task())


def offline() -> Given:
    """Words, and logits kept of the teacher for half of the rows."""
    given = task()
    batch = given.batch(range(ROWS))
    told = teacher().observe(batch, Layers())
    assert isinstance(told.scores, Projection)
    assert told.told is not None
    logits = told.scores.logits().cpu()
    half = torch.arange(ROWS).unsqueeze(1) % 2 == 0
    return Given(model(1), given, Kept(given, logits, told.told.cpu() & half))


class Kept:
    """Offline logits, cut to the length of each batch."""

    def __init__(self, given: ChatTask, logits: torch.Tensor, told: torch.Tensor) -> None:
        self._words = Offline(given, range(ROWS), SIZE, 0)
        self._logits, self._told = logits, told

    tells = frozenset({Kind.WORDS, Kind.SOFT, Kind.TOP, Kind.LOGITS})
    follows = False

    @property
    def steps(self) -> int:
        return self._words.steps

    def begin(self, student: nn.Module, layers: Layers) -> None: ...

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        for batch, _ in self._words.step(epoch, number, share):
            length = batch.labels.shape[1]
            yield batch, TeacherOutput(self._logits[batch.rows, :length], self._told[batch.rows, :length])

    def stepped(self, student: nn.Module) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...


def online() -> Given:
    return Given(model(1), task(), Online(task(), teacher(), range(ROWS), SIZE, 0))


def on_policy() -> Given:
    """Seven rows of ten written by the student, three of those taken from what it wrote before."""
    mix = Mix(written=0.7, replayed=0.3, kept=24)
    source = OnPolicy(task(), teacher(), range(ROWS), SIZE, 0, Speech(tokens=12), mix)
    return Given(model(1), task(), source, 0.7 * JensenShannon(0.9) + 0.3 * CrossEntropy())


def ema() -> Given:
    return Given(model(1), task(), EMA(task(), range(ROWS), SIZE, 0, 0.95))


def exits() -> Given:
    given = AtExits(task(), 2)
    return Given(Exits.shared(model(1), [0, 1]), given, LastBlock(given, range(ROWS), SIZE, 0))


def mutual() -> Given:
    given = AmongPeers(task())
    return Given(Peers([model(1), model(2, 48)]), given, Mutual(given, range(ROWS), SIZE, 0))


SOURCES: dict[str, Callable[[], Given]] = {
    "offline": offline,
    "online": online,
    "on-policy with replay": on_policy,
    "moving average": ema,
    "exits": exits,
    "mutual": mutual,
}
SHARDED = ("offline", "online")
Losses = dict[int, float]


@dataclass(frozen=True)
class Trace:
    """What a run left: the loss of each step, and all weights in one row."""

    losses: Losses
    weights: np.ndarray

    def same(self, other: Trace) -> bool:
        return self.losses == other.losses and np.array_equal(self.weights, other.weights)

    def far(self, other: Trace) -> dict[str, float]:
        losses = max(abs(self.losses[step] - other.losses[step]) for step in self.losses)
        return {"losses": losses, "weights": float(np.abs(self.weights - other.weights).max())}


def run(
    name: str, accumulate: int = 1, shard: bool = False, checkpoint: Path | None = None, dies: int | None = None
) -> Trace:
    """A whole run, or what is left of it; when it `dies` at a step, the process is killed while it is at work."""
    torch.set_num_threads(1)
    given, losses = SOURCES[name](), Losses()

    def log(step: int, values: Any) -> None:
        losses[step] = values["loss"]
        if dies is not None and step == dies:
            os.kill(os.getpid(), signal.SIGKILL)

    watch = Watch(score=lambda student: 0.0, tell=lambda *_: None, log=log, log_every=1)
    watch = replace(watch, checkpoint=checkpoint, checkpoint_every=0)
    lesson = Lesson(given.student, given.task, given.source, given.objective)
    train(lesson, replace(SCHEDULE, accumulate=accumulate, shard=shard, patience=99), watch)
    weights = [value.detach().float().cpu().flatten().numpy() for value in given.student.state_dict().values()]
    return Trace(losses, np.concatenate(weights))


def killed(name: str, kills: int, seed: int) -> dict[str, Any]:
    """So many runs, each killed at a random step of its own and gone on with."""
    whole = alone(run, name)
    steps = max(whole.losses)
    moments = np.random.default_rng(seed).choice(np.arange(2, steps), kills, replace=False).tolist()
    same = 0
    for moment in moments:
        with tempfile.TemporaryDirectory() as folder:
            point = Path(folder) / "checkpoint"
            assert alone(run, name, checkpoint=point, dies=int(moment)) is None
            rest = alone(run, name, checkpoint=point)
            assert min(rest.losses) == moment, "it goes on with the step it was killed in"
            earlier = {step: loss for step, loss in whole.losses.items() if step < moment}
            same += Trace(earlier | rest.losses, rest.weights).same(whole)
    tell(f"{name}: {same} of {kills} killed runs end bit by bit as the one that was not")
    return {"source": name, "steps": steps, "kills": kills, "killed_at": sorted(moments), "identical": same}


def alone(target: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a function returns in a process of its own; None when that is killed."""
    context: Any = multiprocessing.get_context("fork" if not torch.cuda.is_available() else "spawn")
    inner, outer = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(outer, target, arguments, options))
    process.start()
    outer.close()
    try:
        return inner.recv()
    except EOFError:
        return None
    finally:
        process.join()


def answer(pipe: Any, target: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    pipe.send(target(*arguments, **options))


def shared(name: str) -> dict[str, Any]:
    """How far the same run goes apart when it is cut or shared otherwise."""
    whole = alone(run, name)
    found = {"8 micro-batches": whole.far(alone(run, name, 8))}
    if not torch.cuda.is_available():  # where there is one GPU, two processes would have to share it
        found["2 processes"] = whole.far(launch(2, run, (name,), start="forkserver")[0])
        found["2 processes, 4 micro-batches each"] = whole.far(launch(2, run, (name, 4), start="forkserver")[0])
        if name in SHARDED:
            found["2 processes that share the weights"] = whole.far(
                launch(2, run, (name, 1, True), start="forkserver")[0]
            )
    worst = max(difference["losses"] for difference in found.values())
    tell(f"{name}: losses differ by at most {worst:.1e} however the run is shared")
    return {"source": name, "steps": max(whole.losses), "differences": found}


def rival(peers: Path, folder: Path) -> dict[str, Any]:
    """TRL's GKD trainer on the same data: accumulation off policy, and resuming on policy."""
    sys.path.append(str(peers.resolve()))
    apart = {}
    for how, share in (("offline", 0.0), ("half_on_policy", 0.5)):
        whole, pieces = (alone(gkd, folder / f"{how}{parts}", parts, share) for parts in (1, 8))
        apart[how] = max(abs(whole[step] - pieces[step]) for step in whole)
    going = alone(gkd, folder / "resumed", 1, 0.5)
    resumed = alone(gkd, folder / "resumed", 1, 0.5, max(going) // 2)
    later = [step for step in going if step > max(going) // 2]
    same = sum(going[step] == resumed[step] for step in later)
    tell(f"TRL: losses differ by {apart} when accumulated; resumed, {same} of {len(later)} are the same")
    return {
        "method": "TRL GKDTrainer; resumed with half of the batches on policy, from a checkpoint it had ended",
        "version": version("trl"),
        "losses_apart_when_accumulated": apart,
        "steps_after_resuming": len(later),
        "of_them_identical": same,
        "losses_apart_after_resuming": max(abs(going[step] - resumed[step]) for step in later),
    }


def gkd(folder: Path, accumulate: int, on_policy_share: float, resume: int | None = None) -> Losses:
    """The losses of one run of the rival, of the steps that it took."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    made = importlib.import_module("trl.experimental.gkd")
    dataset = importlib.import_module("datasets").Dataset.from_list([{"row": row} for row in range(ROWS)])
    settings = made.GKDConfig(
        output_dir=str(folder),
        per_device_train_batch_size=SIZE // accumulate,
        gradient_accumulation_steps=accumulate,
        num_train_epochs=SCHEDULE.epochs,
        learning_rate=9e-4,
        lmbda=on_policy_share,
        max_new_tokens=12,
        temperature=1.0,
        logging_steps=1,
        save_steps=max(1, SCHEDULE.epochs * ROWS // SIZE // 2),
        report_to=[],
        seed=0,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    trainer = made.GKDTrainer(
        model(1), model(9, 96), settings, data_collator=collate, train_dataset=dataset, processing_class=words()
    )
    with contextlib.redirect_stdout(sys.stderr):
        trainer.train(resume_from_checkpoint=None if resume is None else str(folder / f"checkpoint-{resume}"))
    return {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}


def words() -> Any:
    """A tokenizer that the rival wants to see; nothing is read by it."""
    tokenizers, transformers = (importlib.import_module(name) for name in ("tokenizers", "transformers"))
    vocabulary = {f"w{number}": number for number in range(VOCABULARY)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="w0"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token=f"w{END}")


def collate(rows: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
    """A batch as the rival wants it: labels not shifted, prompts padded on the left."""
    given = task()
    batch = given.batch([row["row"] for row in rows])
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    labels = torch.full_like(ids, -100)
    labels[:, 1:] = torch.where(batch.labels[:, :-1] >= 0, batch.labels[:, :-1], -100)
    before = [given.ids[row["row"]][~given.counted[row["row"]]] for row in rows]
    longest = max(map(len, before))
    prompts = torch.stack([torch.from_numpy(np.pad(prompt, (longest - len(prompt), 0))) for prompt in before])
    there = torch.stack([(torch.arange(longest) >= longest - len(prompt)).long() for prompt in before])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": labels,
        "prompts": prompts,
        "prompt_attention_mask": there,
    }


def targets(kills: Sequence[dict[str, Any]], shares: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was to be reached."""
    identical = sum(row["identical"] for row in kills) / sum(row["kills"] for row in kills)
    worst = max(part["losses"] for row in shares for part in row["differences"].values())
    return [
        {
            "name": "killed runs that end bit by bit the same",
            "target": 1.0,
            "measured": identical,
            "met": identical == 1,
        },
        {"name": "losses apart, however shared", "target": TOLERANCE, "measured": worst, "met": worst <= TOLERANCE},
    ]


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The result as people read it."""
    for row in result["resuming"]:
        yield f"{row['source']:<24} {row['identical']} of {row['kills']} killed runs of {row['steps']} steps identical"
    for row in result["sharing"]:
        for how, apart in row["differences"].items():
            yield f"{row['source']:<24} {how:<36} losses {apart['losses']:.1e}, weights {apart['weights']:.1e}"
    if result["rival"]:
        yield "TRL: " + ", ".join(f"{name} {value}" for name, value in result["rival"].items())
    for goal in result["targets"]:
        yield f"{'met ' if goal['met'] else 'MISS'} {goal['name']}: {goal['measured']:.3g} (target {goal['target']:g})"


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder that holds TRL and datasets")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="2 kills a source instead of 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    if given.device == "cpu" and torch.cuda.is_available():
        sys.exit("Training uses a GPU where there is one. Say --device cuda, or hide it: CUDA_VISIBLE_DEVICES=")
    logging.disable(logging.WARNING)
    started = time.monotonic()
    kills = [killed(name, 2 if given.quick else 20, given.seed) for name in SOURCES]
    shares = [shared(name) for name in SOURCES]
    with tempfile.TemporaryDirectory() as folder:
        other = None if given.peers is None else rival(given.peers, Path(folder))
    result = {
        "benchmark": "invariance",
        "command": shlex.join(["python", *("PEERS" if word == str(given.peers) else word for word in sys.argv)]),
        "seed": given.seed,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else platform.machine(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "accelerate": version("accelerate"),
        },
        "seconds": round(time.monotonic() - started),
        "resuming": kills,
        "sharing": shares,
        "rival": other,
        "targets": targets(kills, shares),
    }
    print(json.dumps(result, indent=2) if given.json else "\n".join(lines(result)))


if __name__ == "__main__":
    main()
