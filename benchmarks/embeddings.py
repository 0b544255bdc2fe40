"""Small sentence encoders taught by all-MiniLM-L6-v2, beside Sentence-Transformers' recipe and model2vec.

    python benchmarks/embeddings.py [--data DIR] [--peers PEERS] [--seeds N] [--quick] [--device cuda] [--json]

Students learn the teacher's vectors of unlabelled texts: training rows of BANKING77 and CLINC150, drawn by the trial's
seed. Our encoders are the teacher cut to two of its six blocks, taught by the cosine of vectors (what
`stillhouse.train` does by default; of vectors of length 1 their squared distance is the same), and by the cosine with
similarities within the batch, or with hidden states. Our static student has one vector for each token.
Without a teacher: the same cut, untrained; the static vectors, untrained; and TF-IDF of words.

The peers (`pip install sentence-transformers datasets`, `pip install --no-deps model2vec skeletoken`, beside Stillhouse
or in a folder that --peers names, itself called site-packages, as dill wants): Sentence-Transformers' layer reduction
(its example keeps every third block, here 1 and 4; squared distance, its trainer, batches of 64, rate 1e-4, a tenth of
the steps to warm up) on the same texts and epochs, and model2vec's distillation (256 dimensions, its default weights),
which wants no texts; it is left out of --quick.

Measured on test splits that nobody learnt from: for each text of BANKING77 and CLINC150, is the nearest other one of
the same intent (recall at 1) and the mean reciprocal rank of the first that is; how like the teacher's similarities
are, also on AG News, which no student has seen; size; texts a second and milliseconds a text on one thread.

`--data` holds banking77/, clinc150/ and ag_news/.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import numpy as np
import torch
from rows import read_rows
from torch import Tensor, nn
from trials import begin, difference, finish, goal, interval, parser_of, precision, tell

import stillhouse
from stillhouse.extras import version
from stillhouse.models.load import load_encoder, load_tokenizer
from stillhouse.models.outputs import Batch, Features, Layers, TeacherOutput
from stillhouse.objectives import EmbeddingCosine, HiddenStates, SimilarityPreserving
from stillhouse.objectives.objective import Objective
from stillhouse.signals.kinds import Kind
from stillhouse.students.static import StaticStudent, static_vectors
from stillhouse.tasks.embedding import embed, likeness, read_texts, save_sentence_encoder
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.online import Online

TESTS = ("banking77", "clinc150", "ag_news")
TOKENS = 128
KEPT = (1, 4)
"""The blocks that Sentence-Transformers' example would keep of six."""
RATE = 1e-4
"""Its learning rate."""
OURS, THEIRS, STATIC, MODEL2VEC = "2 blocks, cosine", "Sentence-Transformers, 2 blocks", "static", "model2vec"
CUT, STATIC_CUT = "2 blocks, untrained", "static, untrained"
Encode = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class Size:
    """How much is shown, and how often."""

    texts: int = 2_000
    epochs: int = 2
    static_epochs: int = 10
    test: int | None = None
    news: int = 500
    timed: int = 512


QUICK = Size(texts=400, epochs=1, static_epochs=2, test=400, news=200, timed=64)


@dataclass(frozen=True)
class Made:
    """A contestant, ready to encode."""

    encode: Encode
    weights: int
    bytes: int


def main() -> int:
    options = parser_of(__doc__, "folder that holds sentence-transformers, datasets and model2vec").parse_args()
    started = time.monotonic()
    begin(options)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, QUICK if options.quick else Size(), Path(folder))
        found = bench.run()
    return finish("embeddings", options, started, found | {"targets": targets(found["students"])}, lines)


@final
class Bench:
    """The teacher, the texts, and everybody who learns from them."""

    def __init__(self, options: argparse.Namespace, size: Size, folder: Path) -> None:
        self.options, self.size, self.folder = options, size, folder
        self.teacher, self.reads = load_encoder("minilm"), load_tokenizer("minilm")
        self.device = torch.device("cuda" if options.device == "cuda" else "cpu")
        self.teacher.model.to(self.device).eval()
        self.tests = {name: test_of(options.data, name, size) for name in TESTS}
        self.train = sorted({row["text"] for name in TESTS[:2] for row in rows_of(options.data, name, "train")})
        self.says = {name: self.encode(self.teacher.model, texts) for name, (texts, _) in self.tests.items()}
        self.peers = find_peers()

    def run(self) -> dict[str, Any]:
        """Everybody's figures, and their speed in turns."""
        seen: dict[str, list[dict[str, float]]] = {}
        made: dict[str, Made] = {"teacher": self.made(self.teacher.model)}
        seconds: dict[str, float] = {"teacher": 0.0}
        for name, make in {"teacher": lambda: made["teacher"], **self.fixed()}.items():
            started = time.monotonic()
            made[name] = make()
            seconds[name] = time.monotonic() - started
            seen[name] = [self.figures(made[name].encode)]
            tell(f"{name}: {seen[name][0]['clinc150_recall']:.2%} on CLINC150, {seconds[name]:.0f} s")
        for seed in range(self.options.seeds):
            texts = self.drawn(seed)
            told = self.encode(self.teacher.model, texts)
            for name, teach in self.taught().items():
                started = time.monotonic()
                made[name] = teach(texts, told, seed)
                seconds[name] = time.monotonic() - started
                seen.setdefault(name, []).append(self.figures(made[name].encode))
                tell(f"seed {seed}, {name}: {seen[name][-1]['clinc150_recall']:.2%}, {seconds[name]:.0f} s")
        pace = race({name: one.encode for name, one in made.items()}, self.tests["banking77"][0][: self.size.timed])
        return {
            "peers": {package: str(version(package)) for package in PACKAGES if package in self.peers},
            "data": {
                "texts": self.size.texts,
                "epochs": {"encoders": self.size.epochs, "static": self.size.static_epochs},
                "test": {name: len(texts) for name, (texts, _) in self.tests.items()},
            },
            "students": [
                {
                    "name": name,
                    "weights": made[name].weights,
                    "megabytes": made[name].bytes / 1e6,
                    **pace[name],
                    "training_seconds": seconds[name],
                    **{key: several([row[key] for row in rows]) for key in rows[0]},
                }
                for name, rows in seen.items()
            ],
        }

    @cached_property
    def vectors(self) -> Tensor:
        """What static students begin with: a vector for each token, `[tokens, 256]`."""
        return static_vectors(deepcopy(self.teacher.model).cpu(), 256)

    def drawn(self, seed: int) -> list[str]:
        some = np.random.default_rng(seed).permutation(len(self.train))[: self.size.texts]
        return [self.train[at] for at in sorted(some)]

    def encode(self, model: nn.Module, texts: Sequence[str]) -> Tensor:
        """Vectors of length 1: `[texts, width]`."""
        return embed(model, read_texts(texts, self.reads, TOKENS))

    def made(self, model: nn.Module) -> Made:
        weights = sum(weight.numel() for weight in model.parameters())
        return Made(lambda texts: self.encode(model, texts), weights, 4 * weights)

    def figures(self, encode: Encode) -> dict[str, float]:
        """How well texts of one intent are found, and how like the teacher's similarities are."""
        found: dict[str, float] = {}
        for name, (texts, labels) in self.tests.items():
            vectors = encode(texts)
            if name != "ag_news":
                found |= {f"{name}_{key}": value for key, value in retrieval(vectors, labels).items()}
            alike = likeness(vectors, self.says[name])
            found |= {f"{name}_{key}": alike[key] for key in ("spearman", "neighbours")}
        return found

    # Who does not depend on the texts

    def fixed(self) -> dict[str, Callable[[], Made]]:
        found: dict[str, Callable[[], Made]] = {CUT: self.cut, STATIC_CUT: self.static_cut}
        if "scikit-learn" in self.peers:
            found["TF-IDF"] = self.tf_idf
        if "model2vec" in self.peers and not self.options.quick:  # its vocabulary alone takes longer
            found[MODEL2VEC] = self.model2vec
        return found

    def cut(self) -> Made:
        return self.made(stillhouse.shrink(self.teacher.model, layers=2).eval())

    def static_cut(self) -> Made:
        """The mean of the static vectors, as a student begins with them."""
        return self.made(Mean(self.vectors).to(self.device).eval())

    def tf_idf(self) -> Made:
        """Words weighted by how rare they are in the training rows."""
        reads = importlib.import_module("sklearn.feature_extraction.text").TfidfVectorizer(sublinear_tf=True)
        reads.fit(self.train)

        def encode(texts: Sequence[str]) -> Tensor:
            return torch.from_numpy(reads.transform(texts).toarray()).float()

        return Made(encode, len(reads.vocabulary_), 4 * len(reads.vocabulary_))

    def model2vec(self) -> Made:
        peer = importlib.import_module("model2vec.distill")
        model, tokenizer = deepcopy(self.teacher.model).cpu(), load_tokenizer("minilm")
        made = peer.distill_from_model(model, tokenizer, pca_dims=256, device="cpu")
        return Made(
            lambda texts: torch.from_numpy(made.encode(list(texts))), made.embedding.size, made.embedding.nbytes
        )

    # Who learns from them

    def taught(self) -> dict[str, Callable[[list[str], Tensor, int], Made]]:
        found: dict[str, Callable[[list[str], Tensor, int], Made]] = {
            OURS: self.encoder(EmbeddingCosine),
            "2 blocks, cosine and similarities": self.encoder(lambda: EmbeddingCosine() + 300 * SimilarityPreserving()),
            "2 blocks, cosine and hidden states": self.encoder(lambda: EmbeddingCosine() + HiddenStates({1: 5}), True),
            STATIC: self.static,
        }
        if {"sentence-transformers", "datasets"} <= set(self.peers):
            found[THEIRS] = self.sentence_transformers
        return found

    def encoder(
        self, objective: Callable[[], Objective], inside: bool = False
    ) -> Callable[[list[str], Tensor, int], Made]:
        """The cut teacher, taught by vectors that were kept, or beside the teacher where its `inside` is asked."""

        def teach(texts: list[str], told: Tensor, seed: int) -> Made:
            student = stillhouse.shrink(self.teacher.model, layers=2)
            torch.manual_seed(seed)
            schedule = Schedule(epochs=self.size.epochs, evaluations=1, precision=precision(), seed=seed)
            asked = self.teacher.model if inside else told.numpy()
            stillhouse.train(student, texts, asked, objective(), self.reads, schedule, size=64)
            return self.made(student)

        return teach

    def static(self, texts: list[str], told: Tensor, seed: int) -> Made:
        torch.manual_seed(seed)
        student = StaticStudent(self.vectors, told.shape[1])
        task = read_texts(texts, self.reads, TOKENS)
        source = Online(task, Vectors(told), range(len(texts)), 64, seed)
        schedule = Schedule(epochs=self.size.static_epochs, evaluations=1, precision=precision(), seed=seed)
        watch = Watch(lambda now: 0.0, lambda done, total, note: None)
        train(Lesson(student, task, source, EmbeddingCosine()), schedule, watch)
        return self.made(student)

    def sentence_transformers(self, texts: list[str], told: Tensor, seed: int) -> Made:
        """Its example of layer reduction, at our sizes."""
        peer = importlib.import_module("sentence_transformers")
        datasets = importlib.import_module("datasets")
        folder = self.folder / f"teacher-{seed}"
        task = read_texts(texts[:1], self.reads, TOKENS)
        save_sentence_encoder(folder, deepcopy(self.teacher.model).cpu(), self.reads, task, TOKENS)
        model = peer.SentenceTransformer(str(folder), device=self.device.type)
        inner = model[0].auto_model
        inner.encoder.layer = nn.ModuleList(inner.encoder.layer[at] for at in KEPT)
        inner.config.num_hidden_layers = len(KEPT)
        rows = datasets.Dataset.from_dict({"sentence": texts, "label": told.tolist()})
        given = peer.SentenceTransformerTrainingArguments(
            output_dir=str(self.folder / "out"),
            num_train_epochs=self.size.epochs,
            per_device_train_batch_size=64,
            learning_rate=RATE,
            warmup_steps=round(0.1 * self.size.epochs * len(texts) / 64),
            bf16=precision() == "bf16",
            use_cpu=self.device.type == "cpu",
            seed=seed,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
        )
        loss = importlib.import_module("sentence_transformers.sentence_transformer.losses").MSELoss(model=model)
        with redirect_stdout(sys.stderr):  # its figures are not ours
            peer.SentenceTransformerTrainer(model=model, args=given, train_dataset=rows, loss=loss).train()
        model.eval()
        weights = sum(weight.numel() for weight in model.parameters())

        def encode(texts: Sequence[str]) -> Tensor:
            return model.encode(list(texts), batch_size=64, convert_to_tensor=True, show_progress_bar=False).cpu()

        return Made(encode, weights, 4 * weights)


@final
class Vectors:
    """A teacher of which one vector for each row was kept."""

    tells = frozenset({Kind.EMBEDDING})
    tokenizer: str | None = None

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """The vectors of a batch's rows."""
        return TeacherOutput(features=Features(embedding=self.vectors[batch.rows.cpu()]))


@final
class Mean(nn.Module):
    """The mean of a text's token vectors."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(vectors)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.unsqueeze(-1).float()
        return (self.vectors(input_ids) * mask).sum(1) / mask.sum(1).clamp(min=1)


PACKAGES = {
    "sentence-transformers": "sentence_transformers",
    "datasets": "datasets",
    "model2vec": "model2vec.distill",
    "scikit-learn": "sklearn.feature_extraction.text",
}


def find_peers() -> dict[str, SimpleNamespace]:
    """The packages that can be imported, by name."""
    found: dict[str, SimpleNamespace] = {}
    for package, module in PACKAGES.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            tell(f"{package} cannot be imported and is left out: {error}")
            continue
        found[package] = SimpleNamespace(module=module)
    return found


def rows_of(data: Path, name: str, part: str) -> list[dict[str, Any]]:
    return read_rows(data / name / f"{part}.jsonl.gz")


def test_of(data: Path, name: str, size: Size) -> tuple[list[str], Tensor]:
    """Texts of a test split with their labels as numbers `[texts]`, evenly picked."""
    rows = rows_of(data, name, "test")
    most = size.news if name == "ag_news" else size.test or len(rows)
    rows = [rows[at] for at in np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
    names = {label: at for at, label in enumerate(sorted({str(row["label"]) for row in rows}))}
    return [row["text"] for row in rows], torch.tensor([names[str(row["label"])] for row in rows])


def retrieval(vectors: Tensor, labels: Tensor) -> dict[str, float]:
    """Whether the nearest other text has the same label, and the mean reciprocal rank of the first that has."""
    unit = nn.functional.normalize(vectors.float(), dim=-1)
    ranks: list[Tensor] = []
    for at in range(0, len(unit), 512):
        alike = unit[at : at + 512] @ unit.T
        own = torch.arange(len(alike))
        alike[own, own + at] = -torch.inf
        same = labels[at : at + 512, None] == labels[None]
        same[own, own + at] = False
        best = alike.masked_fill(~same, -torch.inf).amax(1, keepdim=True)
        ranks.append((alike > best).sum(1)[same.any(1)] + 1)
    rank = torch.cat(ranks).double()
    return {"recall": float((rank == 1).double().mean()), "mrr": float((1 / rank).mean())}


def race(runners: Mapping[str, Encode], texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Texts a second in batches, and milliseconds a single text, each taking its turn; medians of the rounds."""
    batch: dict[str, list[float]] = {name: [] for name in runners}
    single: dict[str, list[float]] = {name: [] for name in runners}
    with torch.inference_mode():
        for turn in range(4):
            for name, run in runners.items():
                started = time.perf_counter()
                run(texts)
                batch[name].append(time.perf_counter() - started)
                for text in texts[20 * turn : 20 * turn + 20]:
                    started = time.perf_counter()
                    run([text])
                    single[name].append(time.perf_counter() - started)
    return {
        name: {
            "texts_per_second": len(texts) / statistics.median(batch[name][1:]),
            "milliseconds_a_text": 1e3 * statistics.median(single[name][20:]),
        }
        for name in runners
    }


def several(values: Sequence[float]) -> dict[str, Any]:
    """An interval over trials; of what is the same in every trial, the figure."""
    return interval(values) if len(values) > 1 else {"mean": values[0], "plus_minus": None, "trials": list(values)}


def targets(students: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = {row["name"]: row for row in students}
    found: list[dict[str, Any]] = []
    best = max(
        (name for name in rows if name.startswith("2 blocks,") and name != CUT), key=lambda name: fit(rows[name])
    )
    for mine, other, key in (
        (OURS, CUT, "clinc150_recall"),
        (OURS, CUT, "banking77_spearman"),
        (best, THEIRS, "clinc150_recall"),
        (best, THEIRS, "clinc150_spearman"),
        (STATIC, STATIC_CUT, "clinc150_recall"),
        (STATIC, MODEL2VEC, "clinc150_recall"),
        (STATIC, MODEL2VEC, "clinc150_spearman"),
    ):
        if other in rows:
            apart = less(rows[mine][key], rows[other][key])
            clear = apart["mean"] - apart["plus_minus"] > 0
            found.append(goal(f"{mine} less {other}, {key}", "above 0 with its interval", apart["mean"], clear))
    return found


def fit(row: Mapping[str, Any]) -> float:
    return row["clinc150_recall"]["mean"] + row["clinc150_spearman"]["mean"]


def less(mine: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The difference of two figures by seed; one that is the same in every trial counts for each."""
    one, two = list(mine["trials"]), list(other["trials"])
    return difference(one, two if len(two) > 1 else two * len(one))


def lines(result: dict[str, Any]) -> Iterator[str]:
    keys = ("banking77_recall", "clinc150_recall", "clinc150_mrr", "clinc150_spearman", "ag_news_spearman")
    yield f"{'':<36} {'MB':>6} {'texts/s':>8} {'ms':>6} " + " ".join(f"{key:>18}" for key in keys)
    for row in result["students"]:
        shown = " ".join(f"{shown_as(row[key]):>18}" for key in keys)
        pace = f"{row['texts_per_second']:8.0f} {row['milliseconds_a_text']:6.2f}"
        yield f"{row['name']:<36} {row['megabytes']:6.1f} {pace} {shown}"


def shown_as(found: Mapping[str, Any]) -> str:
    most = "" if found["plus_minus"] is None else f" ± {found['plus_minus']:.4f}"
    return f"{found['mean']:.4f}{most}"


if __name__ == "__main__":
    sys.exit(main())
