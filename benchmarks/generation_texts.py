"""No benchmark, but its parts on BANKING77: augmentation of few rows, and context distillation.

No large model is at hand where this runs, so something smaller stands in for one, and figures say what the methods do
with a teacher of that strength, not what they do with a large model.

Augmentation: an n-gram model stands in. For each label it writes texts word by word by trigrams of the label's rows,
mixed with those of all rows. Each text it writes counts as one call of a teacher, as each label of a real row does. The
student is a linear head on frozen sentence vectors (all-MiniLM-L6-v2), trained in the same number of steps every time.

Context distillation: the sentence encoder itself stands in. Without context it gives a text the label whose name is
nearest; with context it sees the labelled rows that BM25 retrieves for the text, and gives the label of the nearest of
these. The student, the same linear head, never sees retrieved rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rows import read_rows
from trials import difference, interval, tell

from stillhouse.data.items import Item, Kind
from stillhouse.generation.novelty import ByWords
from stillhouse.generation.passages import PassagesByWords
from stillhouse.generation.select import accepted, novel, sift

STEPS, RATE, DECAY = 300, 0.05, 1e-4
PER_LABEL = (10, 50)
MOST_LIKE = 0.9
"""Texts of the generator closer than this to one that is there are not new; customers' words are short and alike, so
that Self-Instruct's 0.7 would leave out most."""
SHOTS, LABELLED = 8, 10
OTHERS = 0.1
"""Weight of the trigrams of all rows beside those of the label."""
TRIES = 3


class Texts:
    """BANKING77 with the vectors of its texts."""

    def __init__(self, data: Path, quick: bool) -> None:
        train, test = (read_rows(data / "banking77" / f"{part}.jsonl.gz") for part in ("train", "test"))
        names = sorted({row["label"] for row in train})
        if quick:
            names = names[:12]
        self.names = names
        place = {name: at for at, name in enumerate(names)}
        self.train = [(row["text"], place[row["label"]]) for row in train if row["label"] in place]
        self.test = [(row["text"], place[row["label"]]) for row in test if row["label"] in place]
        self.encode = encoder()
        tell(f"vectors of {len(self.train) + len(self.test):,} texts")
        self.vectors = self.encode([text for text, _ in self.train])
        self.test_vectors = self.encode([text for text, _ in self.test])

    def draw(self, each: int, seed: int) -> list[int]:
        """So many rows of every label."""
        chance = np.random.default_rng(seed)
        by_label = defaultdict(list)
        for at in chance.permutation(len(self.train)).tolist():
            by_label[self.train[at][1]].append(at)
        return [at for label in sorted(by_label) for at in by_label[label][:each]]

    def accuracy(self, vectors: Any, labels: Sequence[int], seed: int) -> float:
        """Of a student that has learnt some vectors with labels, on the test split."""
        return float((student(vectors, labels, len(self.names), seed)(self.test_vectors)
                      == np.asarray([label for _, label in self.test])).mean())  # fmt: skip


def encoder() -> Any:
    """Texts to vectors of length 1."""
    import torch

    from stillhouse.models.load import load_encoder
    from stillhouse.tasks.embedding import embed, read_texts

    loaded = load_encoder("minilm")
    model = loaded.model.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def encode(texts: Sequence[str]) -> Any:
        with torch.no_grad():
            return embed(model, read_texts([text or "?" for text in texts], loaded.tokenizer, 64)).numpy()

    return encode


def student(vectors: Any, labels: Sequence[int], count: int, seed: int) -> Any:
    """A linear head on vectors."""
    import torch

    torch.manual_seed(seed)
    head = torch.nn.Linear(vectors.shape[1], count)
    given, right = torch.as_tensor(vectors), torch.as_tensor(np.asarray(labels))
    learner = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        learner.zero_grad()
        torch.nn.functional.cross_entropy(head(given) * 4.0, right).backward()
        learner.step()
    return lambda asked: head(torch.as_tensor(asked)).argmax(1).numpy()


class Trigrams:
    """The next word by the two before it, in rows of one label and of all."""

    def __init__(self, rows: Sequence[tuple[str, int]]) -> None:
        self.counts: dict[Any, Counter[str]] = defaultdict(Counter)
        for text, label in rows:
            words = ["", "", *text.split(), ""]
            for at in range(2, len(words)):
                self.counts[label, words[at - 2], words[at - 1]][words[at]] += 1
                self.counts[None, words[at - 2], words[at - 1]][words[at]] += 1

    def write(self, label: int, chance: np.random.Generator) -> str:
        words = ["", ""]
        while len(words) < 42:
            own, every = (self.counts.get((one, *words[-2:]), Counter()) for one in (label, None))
            shares = {word: count / own.total() for word, count in own.items()}
            for word, count in every.items():
                shares[word] = shares.get(word, 0.0) + OTHERS * count / every.total()
            names = sorted(shares)
            odds = np.asarray([shares[name] for name in names])
            word = names[int(chance.choice(len(names), p=odds / odds.sum()))]
            if not word:
                break
            words.append(word)
        return " ".join(words[2:])


def augmentation(texts: Texts, seeds: int) -> dict[str, Any]:
    """Few rows per label, as many texts of the generator besides, and as many real rows instead."""
    found: dict[str, Any] = {}
    for each in PER_LABEL:
        trials: dict[str, list[float]] = defaultdict(list)
        shares: list[float] = []
        for seed in range(seeds):
            for name, accuracy in augmented(texts, each, seed, shares).items():
                trials[name].append(accuracy)
            tell(f"augmentation, {each} rows a label, trial {seed + 1}")
        plain = trials["rows alone"]
        found[str(each)] = {
            "accuracy": {name: interval(values) for name, values in trials.items()},
            "over_rows_alone": {name: difference(values, plain) for name, values in trials.items() if values != plain},
            "kept_of_generated": float(np.mean(shares)),
        }
    return found


def augmented(texts: Texts, each: int, seed: int, shares: list[float]) -> dict[str, float]:
    """The accuracies of one trial."""
    chance = np.random.default_rng([seed, each])
    drawn = texts.draw(2 * each, seed)
    few = [at for number, at in enumerate(drawn) if number % (2 * each) < each]
    rows = [texts.train[at] for at in few]
    generator = Trigrams(rows)
    made = [(generator.write(label, chance), label) for label in range(len(texts.names)) for _ in range(each)]
    vectors, labels = texts.vectors[few], [label for _, label in rows]
    judge = student(vectors, labels, len(texts.names), seed)
    items = [Item(Kind.TEXT, ({"role": "user", "content": text},), label=str(label)) for text, label in made if text]
    said = dict(zip((item.text for item in items), judge(texts.encode([item.text for item in items])), strict=True))
    checks = [accepted(lambda item: float(str(said[item.text]) == item.label), 0.5),
              novel(ByWords(text for text, _ in rows), MOST_LIKE)]  # fmt: skip
    kept = [(item.text, int(item.label or 0)) for item in sift(items, checks).kept]
    shares.append(len(kept) / len(made))
    both = {"generated too": made, "generated, judged, new": kept}
    result = {"rows alone": texts.accuracy(vectors, labels, seed)}
    for name, more in both.items():
        stacked = np.concatenate([vectors, texts.encode([text for text, _ in more])])
        result[name] = texts.accuracy(stacked, [*labels, *(label for _, label in more)], seed)
    result["as many real rows instead"] = texts.accuracy(
        texts.vectors[drawn], [texts.train[at][1] for at in drawn], seed
    )
    return result


def context(texts: Texts, seeds: int) -> dict[str, Any]:
    """A student of the teacher that saw retrieved rows, against one of the teacher that did not."""
    named = texts.encode([name.replace("_", " ") for name in texts.names])
    trials: dict[str, list[float]] = defaultdict(list)
    for seed in range(seeds):
        shown = texts.draw(LABELLED, seed)
        index = PassagesByWords([texts.train[at][0] for at in shown])
        rest = sorted(set(range(len(texts.train))) - set(shown))
        right = np.asarray([label for _, label in texts.test])
        asked = [texts.train[at][0] for at in rest], [text for text, _ in texts.test]
        vectors = texts.vectors[rest], texts.test_vectors
        taught = {
            "without context": [(each @ named.T).argmax(1) for each in vectors],
            "with context": [
                retrieved(texts, index, shown, each, some, named) for each, some in zip(vectors, asked, strict=True)
            ],
        }
        for name, (told, tested) in taught.items():
            trials[f"teacher {name}"].append(float((tested == right).mean()))
            trials[f"student of the teacher {name}"].append(texts.accuracy(texts.vectors[rest], told, seed))
        tell(f"context distillation, trial {seed + 1}")
    students = [trials[f"student of the teacher {name}"] for name in ("with context", "without context")]
    return {
        "retrieved": f"{SHOTS} of {LABELLED} rows a label, by BM25",
        "accuracy": {name: interval(values) for name, values in trials.items()},
        "gain_of_context": difference(*students),
        "student_less_teacher_with_context": difference(students[0], trials["teacher with context"]),
    }


def retrieved(texts: Texts, index: PassagesByWords, shown: Sequence[int], vectors: Any, asked: Sequence[str],
              named: Any) -> Any:  # fmt: skip
    """The label of the nearest of the rows that are found for a text; where none is found, of the nearest name."""
    labels: list[int] = []
    for text, vector in zip(asked, vectors, strict=True):
        near = [shown[one.at] for one in index.find(text, SHOTS)]
        if near:
            labels.append(texts.train[near[int((texts.vectors[near] @ vector).argmax())]][1])
        else:
            labels.append(int((named @ vector).argmax()))
    return np.asarray(labels)
