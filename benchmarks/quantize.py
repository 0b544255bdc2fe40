"""The claims that started this field, repeated: fewer bits after training, and DistilBERT's trade beaten.

    python benchmarks/quantize.py [--data DIR] [--home DIR] [--only texts] [--quick] [--json] [--out FILE]

Texts: all-MiniLM-L6-v2 fine-tuned on BANKING77 by Transformers' own classifier, a BERT-like model. Words: a GPT-2-like
language model trained here on War and Peace. Each is written in every form of bits that `stillhouse compress` knows and
measured as it would be served: bytes of graph and tokenizer, the median time of one row on one thread, and quality on
rows that nothing has seen: accuracy of labels, or of tokens beside perplexity.

The small classifier is what `stillhouse compress --target-mb 6` makes of the one of texts: its accuracy, bytes and time
beside the whole model's in PyTorch (safetensors) and in ONNX, the forms taking turns. DistilBERT keeps 97 % of its
teacher's quality with 40 % fewer weights at 1.6 times its speed (arxiv.org/abs/1910.01108).

`--home` keeps finished stages, so that a run that was stopped goes on. `--data` holds banking77/ and lm_text/.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rows import read_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForSequenceClassification, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trials import begin, finish, goal, parser_of, tell
from wholes import banking77, section, train_whole

from stillhouse.compression.search import Goal
from stillhouse.export.graph_model import GraphModel
from stillhouse.recipes.build import open_model
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.compress import compress
from stillhouse.recipes.compression import CompressRecipe
from stillhouse.recipes.forms import Forms
from stillhouse.recipes.read_rows import read_rows as read_parts
from stillhouse.recipes.reference import Reference
from stillhouse.recipes.sections import DataSection, TaskName, TrainingSection
from stillhouse.training.events import silent

ROW = 400
"""Characters of a row of words."""
TURNS = 40
"""How often each form answers while they take turns."""


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--home", type=Path, help="keep finished stages here")
    parser.add_argument("--only", choices=("texts", "words"), help="one model")
    options = parser.parse_args()
    started = time.monotonic()
    begin(options)
    found: dict[str, Any] = {"models": []}
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        if options.only != "words":
            recipe = texts(options, home / "texts")
            found["models"].append(every_form("BERT-like: MiniLM-L6 on BANKING77", recipe, home / "texts"))
            found["small"] = small(recipe, home / "texts", options)
        if options.only != "texts":
            found["models"].append(
                every_form("GPT-2-like on War and Peace", words(options, home / "words"), home / "words")
            )
    return finish("quantize", options, started, found | {"targets": targets(found)}, lines)


def texts(options: argparse.Namespace, home: Path) -> CompressRecipe:
    """The classifier of BANKING77, trained."""
    data = banking77(options.data, home, 400 if options.quick else None)
    training = TrainingSection(epochs=1 if options.quick else 6, rate=2e-4)
    return whole(home, TaskName.CLASSIFICATION, "minilm", data, training)


def words(options: argparse.Namespace, home: Path) -> CompressRecipe:
    """The language model of War and Peace, trained."""
    text = read_text(options.data, "war_and_peace")
    rows = [text[at : at + ROW] for at in range(0, len(text) - ROW, ROW)]
    rows = rows[:400] if options.quick else rows
    tenth = len(rows) // 10
    parts = {"train": rows[: -2 * tenth], "selection": rows[-2 * tenth : -tenth], "test": rows[-tenth:]}
    data = section(home, {part: [{"text": row} for row in some] for part, some in parts.items()}, 192)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4_096,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(parts["train"], trainer)
    end = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **end).save_pretrained(home / "fresh")
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    config = GPT2Config(
        vocab_size=size, n_positions=256, n_embd=256, n_layer=6, n_head=8, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(home / "fresh")
    training = TrainingSection(epochs=1 if options.quick else 3, rate=1e-3)
    return whole(home, TaskName.CHAT, str(home / "fresh"), data, training)


def whole(home: Path, task: TaskName, start: str, data: DataSection, training: TrainingSection) -> CompressRecipe:
    """Train a whole model; the recipe by which its forms are made."""
    train_whole(task, start, data, training, home / "whole")
    return CompressRecipe(
        model=str(home / "whole"), task=task, out=home / "small", data=data, goal=Goal(drop=0.5), levers=("precision",)
    )


def every_form(name: str, recipe: CompressRecipe, home: Path) -> dict[str, Any]:
    """A model in every form of bits, on its test rows."""
    rows = read_parts(recipe.data, recipe.task, recipe.seed)
    forms = Forms(recipe, recipe.data, rows, StageCache(home / "stages", silent), home / "stages")
    reference = Reference(forms.whole.model, forms.task_of(forms.whole), rows.test)
    made: list[dict[str, Any]] = []
    for precision in forms.levers["precision"]:
        form = forms.form({**forms.at_rest, "precision": precision})
        seen = reference.distance(GraphModel(form.graph), forms.task_of(open_model(recipe.task, form.model)))
        told = {"precision": precision, "bytes": form.bytes, "quality": seen.quality, "agreement": seen.agreement}
        made.append({**told, "whole": seen.whole, "graph": str(form.graph), **seen.figures})
        tell(f"{name}, {precision}: {seen.quality:.2%} at {form.bytes / 1e6:.2f} MB")
    graphs = {one["precision"]: one.pop("graph") for one in made}
    task = forms.task_of(forms.whole)
    feeds = [task.batch([row]).inputs for row in rows.test[:TURNS]]
    speakers = {name: GraphModel(Path(graph), threads=1) for name, graph in graphs.items()}
    times = in_turns({name: speaker.forward for name, speaker in speakers.items()}, feeds)
    for one in made:
        one["ms"] = times[one["precision"]]
    return {"name": name, "rows": len(rows.test), "forms": made}


def in_turns(speak: Mapping[str, Callable[..., Any]], feeds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The median milliseconds of one row, all taking turns row by row on one thread."""
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {name: [] for name in speak}
    for turn in range(len(feeds) + 5):
        feed = feeds[turn % len(feeds)]
        for name, say in speak.items():
            started = time.perf_counter()
            say(**feed)
            times[name].append(time.perf_counter() - started)
    return {name: 1e3 * statistics.median(each[5:]) for name, each in times.items()}


def small(recipe: CompressRecipe, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What compression makes of the classifier, beside the whole of it in PyTorch and in ONNX."""
    wanted = CompressRecipe(
        model=recipe.model,
        task=recipe.task,
        out=home / "small",
        data=recipe.data,
        goal=Goal(bytes=6e6),
        trials=1 if options.quick else 3,
        healing=TrainingSection(epochs=1 if options.quick else 4, rate=2e-4),
    )
    done = compress(wanted, home / "stages", silent)
    form = done.record.chosen_form
    torch_model = AutoModelForSequenceClassification.from_pretrained(recipe.model).eval()
    rows = read_parts(recipe.data, recipe.task, recipe.seed)
    forms = Forms(recipe, recipe.data, rows, StageCache(home / "stages", silent), home / "stages")
    opened = open_model(recipe.task, str(home / "small" / "model"))
    cut = [forms.task_of(opened).batch([row]).inputs for row in rows.test[:TURNS]]
    every = [forms.task_of(forms.whole).batch([row]).inputs for row in rows.test[:TURNS]]
    graph = GraphModel(forms.form(forms.at_rest).graph, threads=1)
    mine = GraphModel(home / "small" / "student" / "model.onnx", threads=1)
    pairs = [{"whole": one, "small": other} for one, other in zip(every, cut, strict=True)]
    with torch.no_grad():
        times = in_turns(
            {
                "pytorch": lambda whole, small: torch_model(**whole),
                "onnx": lambda whole, small: graph(**whole),
                "small": lambda whole, small: mine(**small),
            },
            pairs,
        )
    weights = sum(path.stat().st_size for path in Path(recipe.model).glob("*.safetensors"))
    test = done.record.test
    return {
        "form": form.words,
        "quality": test.quality,
        "whole": test.whole,
        "kept": test.quality / test.whole,
        "bytes": form.bytes,
        "smaller": weights / form.bytes,
        "ms": times,
        "faster_than_pytorch": times["pytorch"] / times["small"],
        "faster_than_onnx": times["onnx"] / times["small"],
        "certificate": None if done.certificate is None else done.certificate.verdict,
    }


def targets(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for model in found["models"]:
        whole_, int8 = model["forms"][0], next(one for one in model["forms"] if one["precision"] == "int8")
        less = 1 - int8["bytes"] / whole_["bytes"]
        lost = 100 * (whole_["quality"] - int8["quality"])
        made.append(goal(f"{model['name']}: int8 is smaller by, share", ">= 0.74", less, less >= 0.74))
        made.append(goal(f"{model['name']}: int8 loses, points", "<= 1", lost, lost <= 1))
    if "small" in found:
        one = found["small"]
        for name, least in (("kept", 0.99), ("smaller", 15), ("faster_than_pytorch", 15), ("faster_than_onnx", 5)):
            made.append(goal(f"BANKING77 compressed: {name}", f">= {least}", one[name], one[name] >= least))
    return made


def lines(whole_: Mapping[str, Any]) -> Iterator[str]:
    for model in whole_["models"]:
        yield f"\n{model['name']}, {model['rows']:,} test rows"
        yield f"{'form':<12}{'MB':>8}{'ms':>8}{'quality':>10}{'agreement':>11}{'perplexity':>12}"
        for one in model["forms"]:
            perplexity = f"{one['perplexity']:.2f}" if "perplexity" in one else ""
            yield (
                f"{one['precision']:<12}{one['bytes'] / 1e6:>8.2f}{one['ms']:>8.2f}{one['quality']:>10.2%}"
                f"{one['agreement']:>11.2%}{perplexity:>12}"
            )
    if "small" in whole_:
        one = whole_["small"]
        yield f"\nBANKING77 compressed ({one['form']}): {one['quality']:.2%} of {one['whole']:.2%}"
        yield f"{one['bytes'] / 1e6:.2f} MB"
        yield f"{one['smaller']:.1f} x smaller, {one['faster_than_pytorch']:.1f} x faster than PyTorch, "
        yield f"{one['faster_than_onnx']:.1f} x than ONNX in float32"


if __name__ == "__main__":
    raise SystemExit(main())
