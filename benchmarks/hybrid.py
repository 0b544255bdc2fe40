"""Several ways of making a model smaller together, against each alone at the same bytes: BANKING77, Fashion-MNIST.

    python benchmarks/hybrid.py [--data DIR] [--home DIR] [--seeds N] [--only banking77]
                                [--peers DIR] [--quick] [--json]

Texts: all-MiniLM-L6-v2 fine-tuned on the training rows of BANKING77 (Transformers' own classifier). Pictures: a
residual network trained on those of Fashion-MNIST. Each trial trains its whole model by its seed, then asks
`stillhouse compress` for the same bytes by one way alone and by all ways together:

    distil       fewer blocks (texts) or channels (pictures), in float32
    prune        a narrower feed-forward part and hidden width, in float32 (texts)
    low rank     thin factors in place of matrices, in float32 (texts)
    quantise     fewer bits, the model's shape as it was
    together     all of these

each with healing by distillation from the whole model and, but for quantising, without. Texts keep the tokens alone
that training rows use, in every way. A way that cannot reach the bytes gives its smallest, and `reached` says so.
Accuracy is on two thirds of the test split (the others calibrate), by the exported graph. Forms are chosen by rows of
the training part that neither the whole model nor healing has seen.

`--peers` names a folder with Torch-Pruning (pip install --no-deps --target DIR torch-pruning); with it, Torch-Pruning
and ONNX Runtime's own quantiser take the same whole models: see `hybrid_peers.py`. What fails is told.

`--home` keeps finished stages, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from trials import begin, finish, goal, interval, kept, parser_of, tell
from wholes import banking77, train_whole

from stillhouse.compression.search import Goal
from stillhouse.recipes.compress import compress
from stillhouse.recipes.compression import CompressRecipe, Heal
from stillhouse.recipes.sections import DataSection, TaskName, TrainingSection
from stillhouse.training.events import silent

TOGETHER = "together"
SIZES = {"embedding_size": 64, "hidden_sizes": [64, 128, 256], "depths": [2, 2, 2], "layer_type": "basic"}
"""A residual network of 2.8 M weights."""


@dataclass(frozen=True)
class Field:
    """One dataset: its rows as files, its whole model, and the ways that there are."""

    name: str
    task: TaskName
    data: DataSection
    start: str
    """The model before it learns."""
    epochs: int
    rate: float
    healing: TrainingSection
    target: float
    """Bytes."""
    ways: Mapping[str, tuple[str, ...]]
    """The levers of each."""


def main() -> int:
    parser = parser_of(__doc__, peers="Torch-Pruning")
    parser.add_argument("--home", type=Path, help="keep finished stages here")
    parser.add_argument("--only", choices=("banking77", "fashion_mnist"), help="one dataset")
    options = parser.parse_args()
    started = time.monotonic()
    begin(options)
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        makers = {"banking77": texts, "fashion_mnist": pictures}
        chosen = [options.only] if options.only else list(makers)
        found = [field_result(makers[name](options, home / name), options, home / name) for name in chosen]
    return finish("hybrid", options, started, {"fields": found, "targets": targets(found)}, lines)


def texts(options: argparse.Namespace, home: Path) -> Field:
    """BANKING77 by MiniLM."""
    return Field(
        "BANKING77",
        TaskName.CLASSIFICATION,
        banking77(options.data, home, 600 if options.quick else None),
        "minilm",
        epochs=1 if options.quick else 6,
        rate=2e-4,
        healing=TrainingSection(epochs=1 if options.quick else 3, rate=2e-4),
        target=5e6,
        ways={
            "distil": ("layers", "vocabulary"),
            "prune": ("ffn", "width", "vocabulary"),
            "low rank": ("rank", "vocabulary"),
            "quantise": ("precision", "vocabulary"),
            TOGETHER: ("layers", "ffn", "width", "rank", "vocabulary", "precision"),
        },
    )


def pictures(options: argparse.Namespace, home: Path) -> Field:
    """Fashion-MNIST by a residual network."""
    from transformers import ResNetConfig, ResNetForImageClassification

    home.mkdir(parents=True, exist_ok=True)
    parts = {"train": ("train", 0, 20_000), "selection": ("train", 20_000, 22_000), "test": ("t10k", 0, 10_000)}
    for part, (name, first, last) in parts.items():
        images, labels = (_idx(options.data / "fashion_mnist" / f"{name}-{kind}.gz") for kind in _KINDS)
        some = slice(first, first + 600 if options.quick else last)
        np.savez(home / f"{part}.npz", images=images[some], labels=labels[some].astype(np.int64))
    config = ResNetConfig(num_channels=1, **SIZES)
    config.num_labels, config.image_size = 10, 28
    import torch

    torch.manual_seed(0)
    ResNetForImageClassification(config).save_pretrained(home / "fresh")
    return Field(
        "Fashion-MNIST",
        TaskName.IMAGE,
        DataSection(
            train=home / "train.npz", selection=home / "selection.npz", test=home / "test.npz", crop=2, flip=True
        ),
        str(home / "fresh"),
        epochs=1 if options.quick else 6,
        rate=2e-3,
        healing=TrainingSection(epochs=1 if options.quick else 4, rate=2e-3),
        target=7.2e5,
        ways={"distil": ("width",), "quantise": ("precision",), TOGETHER: ("width", "precision")},
    )


_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def _idx(path: Path) -> Any:
    """An array of MNIST's file format."""
    raw = gzip.decompress(path.read_bytes())
    sizes = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(sizes)


def field_result(field: Field, options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Every way of every trial, and their means."""
    trials = [trial(field, options, home, seed) for seed in range(options.seeds)]
    failed = {name: one["failed"] for each in trials for name, one in each.items() if "failed" in one}
    ways = {
        name: {
            "accuracy": interval([one[name]["accuracy"] for one in trials]),
            "bytes": statistics.mean(one[name]["bytes"] for one in trials),
            "reached": all(one[name]["reached"] for one in trials),
        }
        for name in trials[0]
        if name not in failed
    }
    return {"name": field.name, "target_bytes": field.target, "ways": ways, "failed": failed, "trials": trials}


def trial(field: Field, options: argparse.Namespace, home: Path, seed: int) -> dict[str, Any]:
    """One whole model and what becomes of it."""
    training = TrainingSection(epochs=field.epochs, rate=field.rate)
    train_whole(field.task, field.start, field.data, training, home / f"whole{seed}", seed)
    found: dict[str, Any] = {}
    for way, levers in field.ways.items():
        for heals in (True, False):
            if not heals and way == "quantise":
                continue
            name = f"{way}{'' if heals else ', not healed'}"
            done = compress(_recipe(field, options, home, (seed, levers, heals)), home / "stages", silent).record
            found.setdefault("whole", {"accuracy": done.test.whole, "bytes": done.whole.bytes, "reached": True})
            form = done.chosen_form
            found[name] = {
                "accuracy": done.test.quality,
                "bytes": form.bytes,
                "ms": form.ms,
                "reached": done.reached,
                "form": form.words,
            }
            said = f"{done.test.quality:.2%} at {form.bytes / 1e6:.2f} MB ({form.words})"
            tell(f"{field.name}, seed {seed}, {name}: {said}")
    if options.peers:
        from hybrid_peers import peers

        recipe = _recipe(field, options, home, (seed, field.ways["quantise"], True))
        found |= kept(home, f"peers{seed}", lambda: peers(recipe, home / "stages"))
    return found


def _recipe(
    field: Field, options: argparse.Namespace, home: Path, how: tuple[int, Sequence[str], bool]
) -> CompressRecipe:
    seed, levers, heals = how
    return CompressRecipe(
        model=str(home / f"whole{seed}"),
        task=field.task,
        out=home / "small",
        data=field.data,
        goal=Goal(bytes=field.target),
        levers=tuple(levers),
        trials=(1 if options.quick else 2) if len(levers) > 3 else 1,
        healing=field.healing,
        heal=Heal.WEIGHTS if heals else Heal.NOTHING,
        seed=seed,
    )


def targets(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What we said that together would reach: beat each way alone that gets to the same bytes, in every trial.

    A way that gets there in no trial is compared at the least bytes that it has, and need not be beaten.
    """
    made: list[dict[str, Any]] = []
    for field in fields:
        for way, one in field["ways"].items():
            if way in ("whole", TOGETHER) or "not healed" in way:
                continue
            least = 100 * min(each[TOGETHER]["accuracy"] - each[way]["accuracy"] for each in field["trials"])
            at = "" if one["reached"] else f" (which stops at {one['bytes'] / 1e6:.2f} MB)"
            name = f"{field['name']}: together above {way}{at} in every trial, points"
            made.append(goal(name, "> 0" if one["reached"] else "none", least, least > 0 or not one["reached"]))
    return made


def lines(whole: Mapping[str, Any]) -> list[str]:
    """The tables for people."""
    made: list[str] = []
    for field in whole["fields"]:
        made += [
            "",
            f"{field['name']}, {field['target_bytes'] / 1e6:g} MB",
            f"{'way':<28}{'accuracy':>22}{'MB':>8}  reached",
        ]
        for name, one in field["ways"].items():
            mean, half = one["accuracy"]["mean"], one["accuracy"]["plus_minus"]
            made.append(f"{name:<28}{mean:>14.2%} ± {half:.2%}{one['bytes'] / 1e6:>8.2f}  {one['reached']}")
        made += [f"{name}: failed ({reason})" for name, reason in field["failed"].items()]
    return made


if __name__ == "__main__":
    raise SystemExit(main())
