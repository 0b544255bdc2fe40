"""Quantisation while training against quantisation after it: a language model at 8, 4, 3 and 2 bits a weight.

    python benchmarks/qat.py [--data DIR] [--home DIR] [--seeds N] [--quick] [--threads N] [--json]

For each seed a tokenizer's worth of War and Peace (its first nine tenths) trains a Llama-like model in full precision.
Then, for each form of integers, from that model:

- after training: steps as the largest number of a block needs them (`widest`), and steps that lose least (`closest`);
- while training: the model is healed by forward KL from itself in full precision, on rows that it was trained on, with
  `widest` steps and with learnt ones; and with learnt steps on the words alone, without the teacher;
- beside them ONNX Runtime's own quantisers on the exported graph: round to nearest, and at 4 and 2 bits HQQ.

The control is the full-precision model trained on for as many steps. Forms take turns, and every form of a seed starts
from the same weights and sees the same rows in the same order. Perplexity is that of the last tenth of the text.

What was promised is compared with what is served: the healed model is made integers, exported, and run by ONNX Runtime
with graph optimisation off and on: its perplexity, how far logits are apart, how often the likeliest token is the same,
and the bytes of the file. Nothing was tuned on the text that is measured on.

`--data` holds lm_text/: war_and_peace.txt.gz. `--home` keeps finished trials, so that a run that was stopped goes on.
"""

from __future__ import annotations

import copy
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import onnxruntime
import torch
from rows import read_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from trials import begin, clear, difference, finish, goal, interval, kept, parser_of, precision, tell, words_of

from stillhouse.compression.integer import convert
from stillhouse.compression.qat import Bits, freeze_ranges, observe, prepare
from stillhouse.export.graph import write_graph
from stillhouse.objectives import CrossEntropy, ForwardKL
from stillhouse.objectives.objective import Objective
from stillhouse.tasks.chat import ChatTask
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online

BLOCK = 128
"""Tokens of a row."""
RATE, HEALING, HEALING_EIGHT = 1.5e-3, 5e-4, 1e-4
"""Peak learning rates: of full precision, of healing, and of healing at 8 bits, which has little to heal."""
FROZEN = 0.8
"""Share of a healing run after which ranges of activations stay as they are."""
WIDEST, CLOSEST = "after training, widest steps", "after training, closest steps"
HEALED, LEARNT, WORDS = "while training, widest steps", "while training, learnt steps", "learnt steps, words alone"
AFTER, WHILE = (WIDEST, CLOSEST), (HEALED, LEARNT)


@dataclass(frozen=True)
class Size:
    """How large the model is, and how much it sees."""

    vocabulary: int = 2048
    width: int = 192
    layers: int = 4
    rows: int = 6_000
    epochs: int = 2
    batch: int = 16
    healing: int = 150
    """Steps of a healing run."""
    test: int = 160
    """Rows that are measured on."""
    served: int = 10
    """Seeds whose integers are exported and run by ONNX Runtime."""


QUICK = Size(vocabulary=512, width=64, layers=2, rows=320, epochs=2, batch=8, healing=20, test=16, served=1)
FORMS: dict[str, dict[str, Any]] = {
    "int8, inputs too": {"weights": 8, "activations": 8},
    "int4, groups of 32": {"weights": 4, "activations": 32, "group": 32},
    "int4, one step an output": {"weights": 4, "activations": 32},
    "3 bits, groups of 32": {"weights": 3, "activations": 32, "group": 32},
    "2 bits, groups of 32": {"weights": 2, "activations": 32, "group": 32},
}
"""The table, which is the head too, has 8 bits in all of them."""
PEERS = {"int8, inputs too": ("dynamic int8",), "int4, groups of 32": ("RTN", "HQQ"), "2 bits, groups of 32": ("RTN",)}
"""What ONNX Runtime offers for a form. At 4 and 2 bits it leaves the table and the head in full precision."""


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--home", type=Path, help="keep finished trials here")
    options = parser.parse_args()
    started = time.monotonic()
    begin(options)
    size = QUICK if options.quick else Size()
    material = read(options.data, size)
    trials = [
        kept(options.home, f"{'quick ' if options.quick else ''}{seed}", partial(trial, material, size, seed))
        for seed in range(options.seeds)
    ]
    whole = [one["whole"] for one in trials]
    seen = {
        form: {way: [one["forms"][form][way] for one in trials] for way in trials[0]["forms"][form]} for form in FORMS
    }
    served = {form: [one["served"][form] for one in trials if form in one["served"]] for form in FORMS}
    found = {
        "data": {"train_rows": size.rows, "test_tokens": material.test[:, 1:].numel(), "vocabulary": size.vocabulary},
        "full_precision": {name: interval([one[name] for one in whole]) for name in whole[0]},
        "healing_steps": size.healing,
        "forms": [summary(form, seen[form], whole) for form in FORMS],
        "served": {form: told(rows) for form, rows in served.items()},
    }
    return finish("qat", options, started, found | {"targets": targets(found)}, lines)


# What is read


@dataclass(frozen=True)
class Material:
    task: ChatTask
    test: Tensor
    """`[rows, BLOCK]`."""


def read(data: Path, size: Size) -> Material:
    text = read_text(data, "war_and_peace")
    cut = 9 * len(text) // 10
    tokenizer = tokenizer_of(text[:cut], size.vocabulary)
    learnt, held = (blocks_of(tokenizer, part) for part in (text[:cut], text[cut:]))
    some = np.random.default_rng(0).permutation(len(learnt))[: size.rows]
    rows = [learnt[at] for at in sorted(some)]
    every = np.linspace(0, len(held) - 1, min(size.test, len(held))).astype(np.int64)
    task = ChatTask(rows, [np.ones(BLOCK, dtype=bool) for _ in rows], size.vocabulary)
    return Material(task, torch.from_numpy(held[every]))


def tokenizer_of(text: str, size: int) -> Tokenizer:
    """BPE over bytes."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(text.splitlines(keepends=True), trainer)
    return made


def blocks_of(tokenizer: Tokenizer, text: str) -> np.ndarray:
    ids = np.array(tokenizer.encode(text).ids, dtype=np.int64)
    return ids[: len(ids) // BLOCK * BLOCK].reshape(-1, BLOCK)


# One trial


@dataclass(frozen=True)
class Seen:
    """Where a trial writes down what came of each form and way, and of the forms that are served."""

    forms: dict[str, dict[str, dict[str, float]]]
    served: dict[str, dict[str, Any]]

    def note(self, form: str, way: str, model: nn.Module | Callable[[Tensor], Tensor], test: Tensor) -> None:
        found = measure(model, test)
        self.forms[form][way] = found
        tell(f"{form}, {way}: perplexity {found['perplexity']:.2f}")


def trial(material: Material, size: Size, seed: int) -> dict[str, Any]:
    """One seed: a model in full precision, then every form of integers in turn."""
    seen = Seen({form: {} for form in FORMS}, {})
    began = time.monotonic()
    teacher = language_model(size, seed)
    learn(teacher, material.task, CrossEntropy(), Run(size.epochs * (size.rows // size.batch), RATE, seed, size.batch))
    tell(f"seed {seed}: full precision in {time.monotonic() - began:.0f} s")
    healing = {
        bits: Run(size.healing, HEALING_EIGHT if bits == 8 else HEALING, seed, size.batch) for bits in (2, 3, 4, 8)
    }
    longer = copy.deepcopy(teacher)
    learn(longer, material.task, CrossEntropy(), healing[4])
    whole = {
        "perplexity": measure(teacher, material.test)["perplexity"],
        "perplexity_trained_on": measure(longer, material.test)["perplexity"],
    }
    forms = list(FORMS)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "whole.onnx"
        export(teacher, graph)
        for form in forms[seed % len(forms) :] + forms[: seed % len(forms)]:
            for way in (*AFTER, *WHILE, WORDS):
                model = started_as(teacher, form, way, material)
                if way not in AFTER:
                    objective, told_by = (CrossEntropy(), None) if way == WORDS else (ForwardKL(), teacher)
                    learn(model, material.task, objective, healing[FORMS[form]["weights"]], told_by)
                seen.note(form, way, model, material.test)
                if way == LEARNT and seed < size.served:
                    seen.served[form] = serve(model, Path(folder) / "integers.onnx", material.test)
            for peer in PEERS.get(form, ()):
                path = quantized_by_peer(graph, peer, FORMS[form]["weights"], Path(folder) / "peer.onnx")
                seen.note(form, f"ONNX Runtime, {peer}", session(path, optimised=True), material.test)
    return {"whole": whole, "forms": seen.forms, "served": seen.served}


def language_model(size: Size, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=8 * size.width // 3,
        num_hidden_layers=size.layers,
        num_attention_heads=size.width // 32,
        num_key_value_heads=size.width // 32,
        max_position_embeddings=BLOCK,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)


def started_as(teacher: nn.Module, form: str, way: str, material: Material) -> nn.Module:
    """The full-precision model prepared for a form, its ranges seen on rows that it was trained on."""
    model = copy.deepcopy(teacher).requires_grad_(True)
    prepare(model, Bits(**FORMS[form], steps="widest" if way in (WIDEST, HEALED) else "learnt"))
    observe(
        model, [{"input_ids": material.task.batch(range(at, at + 16)).inputs["input_ids"]} for at in range(0, 64, 16)]
    )
    return model


@dataclass(frozen=True)
class Run:
    steps: int
    rate: float
    seed: int
    batch: int


def learn(model: nn.Module, task: ChatTask, objective: Objective, run: Run, teacher: nn.Module | None = None) -> None:
    """An ordinary run of the loop; the last weights stay."""
    rows = range(len(task.ids))
    epochs = max(1, round(run.steps * run.batch / len(rows)))
    rows = range(min(len(rows), run.steps * run.batch // epochs))
    asked = Local(copy.deepcopy(teacher), task) if teacher is not None else None
    source = (
        Offline(task, rows, run.batch, run.seed) if asked is None else Online(task, asked, rows, run.batch, run.seed)
    )

    def freeze_late(done: int, total: int, note: str) -> None:
        if done >= FROZEN * total:
            freeze_ranges(model)

    schedule = Schedule(epochs=epochs, evaluations=1, precision=precision(), seed=run.seed)
    train(Lesson(model, task, source, objective, [(model, run.rate)]), schedule, Watch(lambda now: 0.0, freeze_late))


# What came of it


@torch.no_grad()
def measure(model: nn.Module | Callable[[Tensor], Tensor], test: Tensor) -> dict[str, float]:
    """Perplexity of the next token."""
    nats = [
        nn.functional.cross_entropy(
            logits_of(model, part)[:, :-1].double().flatten(0, 1), part[:, 1:].flatten(), reduction="sum"
        )
        for part in test.split(16)
    ]
    return {"perplexity": math.exp(float(torch.stack(nats).sum()) / test[:, 1:].numel())}


@torch.no_grad()
def logits_of(model: nn.Module | Callable[[Tensor], Tensor], ids: Tensor) -> Tensor:
    if isinstance(model, nn.Module):
        return model.eval()(input_ids=ids, use_cache=False).logits.float()
    return model(ids)


@final
class Alone(nn.Module):
    """A language model that takes ids and gives logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, use_cache=False).logits


def export(model: nn.Module, path: Path) -> None:
    ids = torch.ones(2, 8, dtype=torch.long)
    write_graph(Alone(model), path, (ids,), ({0: "rows", 1: "tokens"},), ["input_ids"], ["logits"])


def session(path: Path, optimised: bool) -> Callable[[Tensor], Tensor]:
    """A graph as a function from ids to logits."""
    levels = onnxruntime.GraphOptimizationLevel
    chosen = onnxruntime.SessionOptions()
    chosen.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    chosen.intra_op_num_threads = torch.get_num_threads()
    made = onnxruntime.InferenceSession(path, chosen, providers=["CPUExecutionProvider"])
    return lambda ids: torch.from_numpy(made.run(None, {"input_ids": ids.numpy()})[0])


def serve(model: nn.Module, path: Path, test: Tensor) -> dict[str, Any]:
    """What is served of a healed model, beside what was promised."""
    export(convert(model), path)
    found: dict[str, Any] = {"bytes": path.stat().st_size, "promised": measure(model, test)["perplexity"]}
    for name, optimised in (("as_written", False), ("optimised", True)):
        runs = session(path, optimised)
        pairs = [(logits_of(model, part), runs(part)) for part in test.split(16)]
        apart = torch.stack([(one - other).abs().max() for one, other in pairs]).max()
        same = torch.stack([(one.argmax(-1) == other.argmax(-1)).float().mean() for one, other in pairs]).mean()
        found[name] = {
            "perplexity": measure(runs, test)["perplexity"],
            "largest_difference": float(apart),
            "same_token": float(same),
            "equal_bits": all(torch.equal(one, other) for one, other in pairs),
        }
    return found


def quantized_by_peer(graph: Path, peer: str, bits: int, path: Path) -> Path:
    """The full-precision graph through one of ONNX Runtime's quantisers."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits

    model = onnx.load(graph)
    if peer == "dynamic int8":
        del model.graph.value_info[:]
        onnx.save(model, graph.with_suffix(".bare"))
        more = {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT}
        operators = ["MatMul", "Gemm", "Gather"]
        quantize_dynamic(
            graph.with_suffix(".bare"),
            path,
            operators,
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options=more,
        )
        return path
    if peer == "HQQ":
        config = nbits.HQQWeightOnlyQuantConfig(block_size=32, bits=bits)
    else:
        config = nbits.DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, bits=bits)
    quantizer = nbits.MatMulNBitsQuantizer(model, algo_config=config)
    quantizer.process()
    quantized: Any = quantizer.model
    onnx.save(quantized.model, path)
    return path


# The report


def summary(form: str, ways: dict[str, list[dict[str, float]]], whole: Sequence[dict[str, float]]) -> dict[str, Any]:
    """A form's perplexities, and the share of what rounding lost that healing won back, in nats, paired by seed."""
    nats = {way: [math.log(one["perplexity"]) for one in trials] for way, trials in ways.items()}
    floor = [math.log(one["perplexity"]) for one in whole]
    best_after = [min(nats[way][at] for way in nats if way not in (*WHILE, WORDS)) for at in range(len(floor))]
    lost = [after - own for after, own in zip(best_after, floor, strict=True)]
    won = [after - healed for after, healed in zip(best_after, nats[LEARNT], strict=True)]
    return {
        "form": form,
        "bits": FORMS[form],
        "perplexity": {way: interval([one["perplexity"] for one in trials]) for way, trials in ways.items()},
        "nats_lost_after_training": interval(lost),
        "nats_lost_while_training": difference(nats[LEARNT], floor),
        "nats_won_back": interval(won),
        "share_won_back": interval([part / max(all_, 1e-6) for part, all_ in zip(won, lost, strict=True)]),
    }


def told(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is served, over seeds: the worst of each figure."""
    found: dict[str, Any] = {"bytes": rows[0]["bytes"]}
    for name in ("as_written", "optimised"):
        found[name] = {
            "perplexity_beside_promise": max(abs(row[name]["perplexity"] / row["promised"] - 1) for row in rows),
            "largest_difference": max(row[name]["largest_difference"] for row in rows),
            "same_token": min(row[name]["same_token"] for row in rows),
            "equal_bits": all(row[name]["equal_bits"] for row in rows),
        }
    return found


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    by_name = {form["form"]: form for form in found["forms"]}
    lost = by_name["int8, inputs too"]["nats_lost_while_training"]["mean"]
    made.append(goal("int8: nats a token lost to full precision", "at most 0.01", lost, lost <= 0.01))
    for form in list(FORMS)[1:]:
        won, share = (by_name[form][name] for name in ("nats_won_back", "share_won_back"))
        met = clear(won) and share["mean"] >= 0.5
        made.append(
            goal(
                f"{form}: share of the best post-training loss won back", "at least 0.5, clear of 0", share["mean"], met
            )
        )
    apart = max(
        rows[name]["perplexity_beside_promise"]
        for rows in found["served"].values()
        for name in ("as_written", "optimised")
    )
    made.append(goal("served perplexity beside the promised one", "at most 0.001 apart", apart, apart <= 0.001))
    return made


def lines(found: dict[str, Any]) -> Iterator[str]:
    whole = found["full_precision"]
    own, longer = (words_of(whole[name]) for name in ("perplexity", "perplexity_trained_on"))
    yield f"full precision: perplexity {own}, trained on {longer}"
    for form in found["forms"]:
        yield f"{form['form']}:"
        for way, value in form["perplexity"].items():
            yield f"  {way}: {words_of(value)}"
        yield f"  won back: {words_of(form['nats_won_back'])} nats of {words_of(form['nats_lost_after_training'])}"
        yield f"  served: {found['served'][form['form']]}"


if __name__ == "__main__":
    sys.exit(main())
