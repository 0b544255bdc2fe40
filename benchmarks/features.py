"""What features and relations add to answers: BANKING77 texts and Fashion-MNIST pictures, beside TextBrewer.

    python benchmarks/features.py [--data DIR] [--peers PEERS] [--seeds N] [--quick] [--device cuda] [--json]

Texts: all-MiniLM-L6-v2 fine-tuned on 6,000 training rows teaches a student cut out of it, two blocks of half its width.
Pictures: a convolutional network trained on 15,000 pictures teaches one of a quarter of its channels. Students see few
labelled rows (15 of each intent; 2,000 pictures), so the teacher knows more than they are shown. Each trial draws its
rows, the student's new weights and the order of the rows by its seed.

Methods: labels alone and smoothed (the controls without a teacher); answers (forward KL at T = 2 with labels, which is
what `stillhouse.train` does by default, DKD, DIST); and answers with one kind of feature or relation each, at the
weights of the papers or of our documentation, not tuned here. All methods of a trial start from the same weights and
see the same batches. The last weights are measured on the whole test split: accuracy, agreement with the teacher.

The peer is TextBrewer (`pip install --no-deps textbrewer tensorboard` and what it imports, into a folder that --peers
names): KL and hidden states by its losses, projectors and loop, on the same rows, batches, starts, optimizer and
schedule, and what we remember of the teacher. torchdistill's trainer is tried: what its import says is reported.

`--data` holds banking77/ and fashion_mnist/.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from rows import read_rows
from torch import Tensor, nn
from trials import begin, clear, difference, finish, goal, interval, parser_of, precision, tell, words_of

import stillhouse
from stillhouse.extras import version
from stillhouse.models.load import load_encoder
from stillhouse.models.outputs import Batch, Features, Heads, Layers, TeacherOutput
from stillhouse.models.rows import join_features, take_rows
from stillhouse.objectives import (
    DIST,
    PKT,
    AttentionKL,
    AttentionTransfer,
    CrossEntropy,
    DecoupledKD,
    ForwardKL,
    HeadRelations,
    HiddenStates,
    LinearCKA,
    RelationalKD,
    SimilarityPreserving,
)
from stillhouse.objectives.combine import WeightedSum
from stillhouse.objectives.objective import Objective
from stillhouse.signals.kinds import Kind
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.student import Student
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local, ask
from stillhouse.training.batch import EpochBatches
from stillhouse.training.loop import Schedule
from stillhouse.training.optimizer import make_optimizer, make_schedule
from stillhouse.training.task_for import task_for

WORDS = 24
"""Longer texts are cut: what attends to what grows with their square."""
CONTROL, RESPONSE, HINT = "labels alone", "forward KL", "+ hidden states"
PEER = "TextBrewer: forward KL + hidden states"
Methods = Mapping[str, Callable[[], Objective]]


@dataclass(frozen=True)
class Field:
    """One kind of data: who teaches, what students are shown, and how they begin."""

    name: str
    teacher: nn.Module
    rows: Callable[[int], Any]
    """The labelled inputs of a trial, by seed."""
    test: Any
    start: Callable[[], nn.Module]
    """A student before it learns; new weights are drawn as torch's seed says."""
    methods: Methods
    layers: Layers
    pairs: Mapping[int, int]
    schedule: Schedule
    tokenizer: Any = None
    size: int = 32


def main() -> int:
    options = parser_of(__doc__, "folder that holds textbrewer and what it imports").parse_args()
    started = time.monotonic()
    begin(options)
    peer = find_peer()
    fields = [texts(options), pictures(options)]
    found = {
        "peer": {
            "textbrewer": str(version("textbrewer")) if peer else "not installed",
            "torchdistill": torchdistill(),
        },
        "fields": [field_result(field, options, peer) for field in fields],
    }
    return finish("features", options, started, found | {"targets": targets(found["fields"])}, lines)


# Texts


def texts(options: argparse.Namespace) -> Field:
    """BANKING77, taught by MiniLM."""
    folder = options.data / "banking77"
    train, test = (rows_of(read_rows(folder / f"{part}.jsonl.gz")) for part in ("train", "test"))
    labels = {label: at for at, label in enumerate(sorted({label for _, label in train}))}
    some = 600 if options.quick else 6_000
    random = np.random.default_rng(0)
    shown = [train[at] for at in random.permutation(len(train))[:some]]
    encoder = load_encoder("minilm")
    torch.manual_seed(0)
    started = time.monotonic()
    schedule = Schedule(epochs=1 if options.quick else 2, evaluations=1, precision=precision())
    taught = stillhouse.train(encoder.model, split(shown, labels), tokenizer=encoder.tokenizer, schedule=schedule)
    teacher = taught.student
    assert isinstance(teacher, EncoderStudent)
    tell(f"teacher of texts: {time.monotonic() - started:.0f} s")
    small = stillhouse.shrink(teacher.encoder, layers=2, width=192, ffn=384)

    def rows(seed: int) -> Any:
        """So many of each intent."""
        each = np.random.default_rng(seed)
        numbers = np.array([labels[label] for _, label in train])
        picked = [each.permutation(np.flatnonzero(numbers == one))[: 5 if options.quick else 15] for one in range(77)]
        return split([train[at] for at in sorted(np.concatenate(picked))], labels)

    return Field(
        "BANKING77",
        teacher,
        rows,
        split(test[:500] if options.quick else test, labels),
        lambda: EncoderStudent(deepcopy(small), len(labels)),
        text_methods({0: 2, 1: 5}),
        Layers(frozenset({2, 5}), frozenset({5}), frozenset({5}), embedding=True),
        {0: 2, 1: 5},
        Schedule(epochs=2 if options.quick else 6, rate=3, evaluations=1, precision=precision()),
        encoder.tokenizer,
    )


def rows_of(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(" ".join(row["text"].split()[:WORDS]), row["label"]) for row in found]


def split(rows: Sequence[tuple[str, str]], labels: Mapping[str, int]) -> tuple[list[str], Any]:
    return [text for text, _ in rows], np.array([labels[label] for _, label in rows])


def answers() -> WeightedSum:
    """What every method about features has beside it."""
    return 0.8 * ForwardKL(2) + 0.2 * CrossEntropy()


def response_methods() -> dict[str, Callable[[], Objective]]:
    return {
        CONTROL: CrossEntropy,
        "labels smoothed": lambda: CrossEntropy(0.1),
        RESPONSE: answers,
        "DKD": lambda: 0.8 * DecoupledKD(temperature=2) + 0.2 * CrossEntropy(),
        "DIST": lambda: DIST(2, 2) + CrossEntropy(),
    }


def relation_methods() -> dict[str, Callable[[], Objective]]:
    return {
        "+ distances and angles (RKD)": lambda: answers() + RelationalKD(),
        "+ similarities": lambda: answers() + 3_000 * SimilarityPreserving(),
        "+ neighbours (PKT)": lambda: answers() + 500 * PKT(),
        "+ CKA": lambda: answers() + LinearCKA(),
    }


def text_methods(pairs: Mapping[int, int]) -> Methods:
    last = dict([max(pairs.items())])
    return {
        **response_methods(),
        HINT: lambda: answers() + HiddenStates(pairs),
        "+ attention": lambda: answers() + AttentionKL(last),
        "+ relations of heads (MiniLMv2)": lambda: answers() + HeadRelations(last),
        **relation_methods(),
    }


# Pictures


@final
class Net(nn.Module):
    """Three stages of 3 x 3 convolutions; each after the first halves height and width."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        self.stages = nn.ModuleList(stage(widths[at], widths[at + 1], depth) for at in range(3))
        self.head = nn.Linear(4 * width, 10)

    def forward(self, pixel_values: Tensor) -> Tensor:
        for part in self.stages:
            pixel_values = part(pixel_values)
        return self.head(pixel_values.mean((2, 3)))


def stage(into: int, out: int, depth: int) -> nn.Sequential:
    made: list[nn.Module] = []
    for at in range(depth):
        made += [nn.Conv2d(into if at == 0 else out, out, 3, stride=2 if at == 0 else 1, padding=1, bias=False)]
        made += [nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*made)


def pictures(options: argparse.Namespace) -> Field:
    """Fashion-MNIST, taught by a network of its own."""
    folder = options.data / "fashion_mnist"
    train, test = (images(folder, part) for part in ("train", "t10k"))
    random = np.random.default_rng(0)
    order = random.permutation(len(train[1]))[: 1_000 if options.quick else 15_000]
    torch.manual_seed(0)
    started = time.monotonic()
    schedule = Schedule(epochs=1 if options.quick else 4, rate=3, evaluations=1, precision=precision())
    teacher = stillhouse.train(Net(32, 2), tuple(part[order] for part in train), schedule=schedule).student
    tell(f"teacher of pictures: {time.monotonic() - started:.0f} s")

    def rows(seed: int) -> Any:
        some = np.random.default_rng(seed).permutation(len(train[1]))[: 500 if options.quick else 2_000]
        return tuple(part[np.sort(some)] for part in train)

    pairs = {1: 1, 2: 2}
    return Field(
        "Fashion-MNIST",
        teacher,
        rows,
        tuple(part[: 1_000 if options.quick else None] for part in test),
        lambda: Net(8, 1),
        {
            **response_methods(),
            HINT: lambda: answers() + HiddenStates(pairs),
            "+ attention transfer": lambda: answers() + 1_000 * AttentionTransfer({0: 0, **pairs}),
            **relation_methods(),
        },
        Layers(frozenset({0, 1, 2}), embedding=True),
        pairs,
        Schedule(epochs=2 if options.quick else 6, rate=3, evaluations=1, precision=precision()),
    )


def images(folder: Path, part: str) -> tuple[Any, Any]:
    """Pictures `[count, 28, 28]` and labels `[count]`."""
    found: list[Any] = []
    for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
        with gzip.open(folder / f"{part}-{kind}-ubyte.gz") as file:
            found.append(np.frombuffer(file.read(), dtype=np.uint8, offset=head))
    return found[0].reshape(-1, 28, 28), found[1].astype(np.int64)


# Who teaches


@final
class Remembers:
    """A teacher that is asked once about every row; afterwards its answers and its inside come from memory."""

    tells = ANSWERS_AND_INSIDE | {Kind.EMBEDDING}
    tokenizer: str | None = None

    def __init__(self, teacher: nn.Module, task: Task, rows: int, layers: Layers) -> None:
        asked, whole = Local(teacher, task, self.tells), task.batch(range(rows))
        parts = [asked.observe(take_rows(whole, slice(at, at + 64)), layers) for at in range(0, rows, 64)]
        parts = [part.to(torch.device("cpu")) for part in parts]
        self.scores = torch.cat([part.scores for part in parts if isinstance(part.scores, Tensor)])
        self.features = join_features([part.features for part in parts])

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What was told of the rows of a batch, over as many tokens as it has."""
        rows, known = batch.rows.cpu(), self.features
        ids = batch.inputs.get("input_ids")
        tokens = slice(None if ids is None else ids.shape[1])
        hidden = {layer: values[rows] for layer, values in known.hidden.items() if layer in layers.hidden}
        if ids is not None:
            hidden = {layer: values[:, tokens] for layer, values in hidden.items()}
        attention = {layer: known.attention[layer][rows][:, :, tokens, tokens] for layer in layers.attention}
        heads = {layer: cut(known.heads[layer], rows, tokens) for layer in layers.heads}
        embedding = None if known.embedding is None else known.embedding[rows]
        told = TeacherOutput(self.scores[rows], None, Features(hidden, attention, heads, embedding))
        return told.to(batch.rows.device)


def cut(heads: Heads, rows: Tensor, tokens: slice) -> Heads:
    return Heads(*(part[rows][:, :, tokens] for part in (heads.queries, heads.keys, heads.values)))


# Who learns


def field_result(field: Field, options: argparse.Namespace, peer: Any) -> dict[str, Any]:
    """Every method at every seed, and what came of it."""
    shown = task_for(field.teacher, field.test, tokenizer=field.tokenizer)
    right = torch.as_tensor(field.test[1])
    says = logits_of(field.teacher, shown.task, len(right))
    top = float((says.argmax(-1) == right).float().mean())
    tell(f"{field.name}: teacher {top:.2%}")
    names = [*field.methods, *([PEER] if peer else [])]
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    rows = 0
    for seed in range(options.seeds):
        data = field.rows(seed)
        rows = len(data[1])
        taught = task_for(field.teacher, data, tokenizer=field.tokenizer)
        teacher = Remembers(field.teacher, taught.task, rows, field.layers)
        for name in names:
            started = time.monotonic()
            torch.manual_seed(seed)
            student = field.start()
            if name == PEER:
                peer_train(peer, field, student, taught.task, teacher, (rows, seed))
            else:
                learn(field, student, data, teacher, (name, seed))
            found = figures(logits_of(student, shown.task, len(right)), says, right)
            seen[name].append(found | {"seconds": time.monotonic() - started})
            tell(f"{field.name}, seed {seed}, {name}: {found['accuracy']:.2%}, {seen[name][-1]['seconds']:.0f} s")
    sizes = [sum(weight.numel() for weight in model.parameters()) for model in (field.teacher, field.start())]
    return {
        "name": field.name,
        "rows": {"student": rows, "test": len(right)},
        "epochs": field.schedule.epochs,
        "teacher": {"accuracy": top, "weights": sizes[0]},
        "student": {"weights": sizes[1]},
        "methods": [summary(name, seen) for name in names],
    }


def learn(field: Field, student: nn.Module, data: Any, teacher: Remembers, trial: tuple[str, int]) -> None:
    name, seed = trial
    stillhouse.train(
        student,
        data,
        teacher=teacher,
        objective=field.methods[name](),
        tokenizer=field.tokenizer,
        schedule=replace(field.schedule, seed=seed),
        size=field.size,
    )


@torch.no_grad()
def logits_of(model: nn.Module, task: Task, rows: int) -> Tensor:
    """A model's logits for all rows: `[rows, labels]`."""
    device = next(model.parameters()).device
    order = sorted(range(rows), key=task.length)
    parts = []
    for at in range(0, rows, 256):
        parts.append(ask(model, task, task.batch(order[at : at + 256]).to(device), Layers()).logits[:, 0].float().cpu())
    return torch.cat(parts)[torch.tensor(order).argsort()]


def figures(found: Tensor, teacher: Tensor, right: Tensor) -> dict[str, float]:
    said, told = found.log_softmax(-1), teacher.log_softmax(-1)
    return {
        "accuracy": float((found.argmax(-1) == right).float().mean()),
        "agreement": float((found.argmax(-1) == teacher.argmax(-1)).float().mean()),
        "kl_to_teacher": float((told.exp() * (told - said)).sum(-1).mean()),
    }


# The peer


def find_peer() -> Any:
    """TextBrewer, or None where it is not installed."""
    try:
        return importlib.import_module("textbrewer")
    except ImportError:
        return None


def torchdistill() -> str:
    """Its version where it can be imported, and what it says where not."""
    known = version("torchdistill")
    if known is None:
        return "not installed"
    try:
        importlib.import_module("torchdistill.core.distillation")
    except Exception as error:  # whatever it or its imports raise is what is reported
        return f"{known} cannot be imported with torch {version('torch')}: {type(error).__name__}: {error}"
    return known


@final
class Asked(nn.Module):
    """A student asked as our task asks it, given and answering as the peer has it."""

    def __init__(self, student: nn.Module, task: Task, layers: Layers) -> None:
        super().__init__()
        self.student, self.how = student, (task, layers)

    def forward(self, labels: Tensor, rows: Tensor, **inputs: Tensor) -> dict[str, Any]:
        task, layers = self.how
        kind = torch.bfloat16 if precision() == "bf16" else None
        with torch.autocast(labels.device.type, dtype=kind, enabled=kind is not None):
            said = task.output(self.student, Batch(inputs, labels, rows), layers)
        logits = said.logits[:, 0].float()
        return {
            "logits": logits,
            "hidden": [places(said.features.hidden[layer]) for layer in sorted(said.features.hidden)],
            "losses": nn.functional.cross_entropy(logits, labels[:, 0]),
        }


def places(states: Tensor) -> Tensor:
    """Maps as tokens: `[rows, tokens, width]`."""
    return (states.flatten(2).mT if states.dim() == 4 else states).float()


@final
class Batches:
    """Our batches of each epoch as the peer reads them, with what the teacher told of them."""

    def __init__(self, task: Task, teacher: Remembers, order: EpochBatches, layers: Layers) -> None:
        self.task, self.teacher, self.order, self.layers, self.epoch = task, teacher, order, layers, -1

    def __len__(self) -> int:
        return self.order.steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.epoch += 1
        for number in range(self.order.steps):
            batch = self.task.batch(self.order.rows(self.epoch, number), self.epoch)
            told = self.teacher.observe(batch, self.layers)
            assert isinstance(told.scores, Tensor)
            hidden = [places(told.features.hidden[layer]) for layer in sorted(told.features.hidden)]
            given = {**batch.inputs, "labels": batch.labels, "rows": batch.rows}
            yield {
                "teacher": {},
                "student": given,
                "teacher_cache": {"logits": told.scores[:, 0].float(), "hidden": hidden},
            }


def peer_train(
    peer: Any, field: Field, student: nn.Module, task: Task, teacher: Remembers, trial: tuple[int, int]
) -> None:
    """Teach a student by the peer: its distance of answers, hidden states, projectors and loop; our batches and rates.

    It does not multiply by the square of the temperature, so the weight does. A tenth of the rows is left out, as ours.
    """
    rows, seed = trial
    device = "cuda" if torch.cuda.is_available() else "cpu"
    its, mine = (Layers(frozenset(side)) for side in (field.pairs.values(), field.pairs))
    order = np.random.default_rng((seed, rows)).permutation(rows)
    learnt = sorted(order[min(rows // 10, 1_000) :].tolist())
    batches = Batches(task, teacher, EpochBatches(learnt, task.length, field.size, seed), its)
    model = Asked(student, task, mine).to(device)
    first = next(iter(batches))
    batches.epoch = -1
    with torch.no_grad():
        said = model(**{name: value.to(device) for name, value in first["student"].items()})
    matches = [
        {
            "layer_T": at,
            "layer_S": at,
            "feature": "hidden",
            "loss": "hidden_mse",
            "weight": 1 / len(field.pairs),
            "proj": ["linear", here.shape[-1], there.shape[-1], {"lr": 1e-3 * field.schedule.rate}],
        }
        for at, (here, there) in enumerate(zip(said["hidden"], first["teacher_cache"]["hidden"], strict=True))
    ]
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        config = peer.TrainingConfig(output_dir=folder, device=device)
        distil = peer.DistillationConfig(
            temperature=2, kd_loss_weight=0.8 * 4, hard_label_weight=0.2, intermediate_matches=matches
        )

        def adapt(batch: Any, results: Any) -> Any:
            return dict(results) | ({"inputs_mask": batch["attention_mask"]} if "attention_mask" in batch else {})

        parts = student.learning_rates() if isinstance(student, Student) else [(student, 1e-3)]
        total = len(batches) * field.schedule.epochs
        distiller = peer.GeneralDistiller(config, distil, nn.Identity(), model, adapt, adapt)
        with distiller:
            distiller.train(
                make_optimizer(parts, field.schedule.rate, 0.01),
                batches,
                num_epochs=field.schedule.epochs,
                scheduler_class=lambda optimizer: make_schedule(optimizer, total, 0.1),
                scheduler_args={},
                max_grad_norm=1.0,
            )
    student.eval()


# What came of it


def summary(name: str, seen: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """A method's figures with intervals, and what it gained over labels alone and over answers alone."""

    def each(of: str, key: str) -> list[float]:
        return [figures[key] for figures in seen[of]]

    return {
        "name": name,
        **{key: interval(each(name, key)) for key in ("accuracy", "agreement", "kl_to_teacher")},
        "gain_over_labels_alone": difference(each(name, "accuracy"), each(CONTROL, "accuracy")),
        "gain_over_answers_alone": difference(each(name, "accuracy"), each(RESPONSE, "accuracy")),
        "seconds": float(np.mean(each(name, "seconds"))),
    }


def targets(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for field in fields:
        rows = {row["name"]: row for row in field["methods"]}
        gain = rows[RESPONSE]["gain_over_labels_alone"]
        found.append(goal(f"{field['name']}: forward KL gains over labels alone", "above 0", gain["mean"], clear(gain)))
        added = [row for name, row in rows.items() if name.startswith("+")]
        best = max(added, key=lambda row: row["gain_over_answers_alone"]["mean"])
        more = best["gain_over_answers_alone"]
        found.append(
            goal(f"{field['name']}: {best['name']} gains over answers alone", "above 0", more["mean"], clear(more))
        )
        if PEER in rows:
            apart = difference(rows[HINT]["accuracy"]["trials"], rows[PEER]["accuracy"]["trials"])
            name = f"{field['name']}: the same method less TextBrewer's, accuracy"
            found.append(goal(name, "not below 0 by more than its interval", apart["mean"], more_or_even(apart)))
    return found


def more_or_even(apart: Mapping[str, Any]) -> bool:
    return apart["mean"] + apart["plus_minus"] >= 0


def lines(result: dict[str, Any]) -> Iterator[str]:
    for field in result["fields"]:
        teacher, student = field["teacher"], field["student"]
        yield (
            f"\n{field['name']}: teacher of {teacher['weights']:,} weights {teacher['accuracy']:.2%}, student of "
            f"{student['weights']:,}, {field['rows']['student']:,} rows"
        )
        yield f"{'':<40} {'accuracy %':>14} {'agreement %':>14} {'over labels':>14} {'over answers':>14} {'s':>5}"
        for row in field["methods"]:
            keys = ("accuracy", "agreement", "gain_over_labels_alone", "gain_over_answers_alone")
            shown = " ".join(f"{words_of(row[key], 100, 2):>14}" for key in keys)
            yield f"{row['name']:<40} {shown} {row['seconds']:5.0f}"
    yield f"\ntorchdistill: {result['peer']['torchdistill']}"


if __name__ == "__main__":
    sys.exit(main())
