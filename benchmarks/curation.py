"""Curation: how fast each step goes through a million rows, and how much of what is wrong with them it finds.

    python benchmarks/curation.py [--data DIR] [--rows N] [--quick] [--json] [--out FILE]

Rows are made of pieces of real texts (BANKING77, CLINC150, AG News, SST-2 and GSM8K train), three to a row, and of
what was planted: exact duplicates with other case and spaces, near duplicates with a word more, passages of GSM8K's
test questions, refusals in twelve languages and five kinds of broken answers. Each step sees all rows by itself;
rows are made anew for every look, and the time that this takes is told beside. Label errors are looked for among AG
News' labels by people, of which a fifth is wrong and the true ones are known. Languages are told of sentences that
were written for this in fourteen languages, and of English texts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentences import SENTENCES
from trials import goal, goals, tell

import stillhouse
from stillhouse.data.curate import normalise
from stillhouse.data.curation.catalog import Means, curate
from stillhouse.data.curation.confident import Rule, likely_wrong, margins
from stillhouse.data.curation.curated import reason_word
from stillhouse.data.curation.curation import STEPS, Curation
from stillhouse.data.curation.languages import Languages, languages
from stillhouse.data.curation.linear import bags_of, out_of_fold
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.extras import version

BASE = {
    "banking77/train": "text",
    "clinc150/train": "text",
    "ag_news/train_subset": "text",
    "sst2/train": "text",
    "gsm8k/train": "question",
}
"""The texts, and the column that they are in."""
SHARES = {"duplicate": 0.02, "near-duplicate": 0.03, "test-set": 0.005, "refusal": 0.005, "broken": 0.01}
"""What is planted, by the word of the reason that it should be dropped for."""
REFUSED = (
    "I'm sorry, but I can't help with that.", "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Je suis désolé, mais je ne peux pas répondre à cette demande.", "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.", "Desculpe, mas não posso ajudar com isso.",
    "Sorry, ik kan die vraag niet beantwoorden.", "Przepraszam, ale nie mogę w tym pomóc.",
    "Извините, но я не могу помочь с этим.", "很抱歉,我不能提供这方面的帮助。",
    "申し訳ありませんが、そのご要望にはお応えできません。", "죄송하지만 그 요청은 도와드릴 수 없습니다.",
)  # fmt: skip
FEWEST_FOR_MEMORY = 200_000
"""Of fewer rows the programs themselves take most of the memory."""
FLAWED = (
    "",
    "```python\nfor row in rows:",
    "We will see. " + "and so it goes " * 12,
    "Das ist schÃ¶n.",
    "Yes.<|im_end|>",
)
KINDS = ("plain", *SHARES)
PLANTED = dict(zip(("duplicates", "near-duplicates", "decontaminate", "refusals", "broken"), SHARES, strict=True))
"""What each step should find."""


def texts_of(data: Path, name: str, field: str) -> list[str]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line)[field] for line in file]


class Made:
    """Rows with planted faults: the same for the same seed, made anew for every look."""

    def __init__(self, data: Path, count: int, seed: int = 0) -> None:
        self.words = [
            (text.split(), place)
            for place, (name, field) in enumerate(BASE.items())
            for text in texts_of(data, name, field)
        ]
        self.tests = texts_of(data, "gsm8k/test", "question")
        self.count = count
        random = np.random.default_rng(seed)
        self.kind = random.choice(len(KINDS), count, p=[1 - sum(SHARES.values()), *SHARES.values()])
        self.kind[: max(count // 10, 1)] = 0  # duplicates need something to repeat
        self.of = (random.random(count) * np.arange(count)).astype(np.int64)
        plain = np.flatnonzero(self.kind == 0)
        self.of = plain[np.searchsorted(plain, self.of, "right") - 1]
        self.pieces = random.integers(0, len(self.words), (count, 3))
        self.cuts = random.random((count, 3))

    def __iter__(self) -> Iterator[Item]:
        for row in range(self.count):
            yield self.item(row)

    def item(self, row: int) -> Item:
        kind = KINDS[self.kind[row]]
        asked, answer = self.asked(row), f"{row} rows were looked at."
        if kind == "duplicate":
            asked, answer = f"  {self.asked(self.of[row]).upper()} ", f"{self.of[row]} rows were looked at."
        elif kind == "near-duplicate":
            asked = f"{self.asked(self.of[row])} thanks"
        elif kind == "test-set":
            asked = f"{asked} {self.tests[row % len(self.tests)]}"
        elif kind == "refusal":
            answer = REFUSED[row % len(REFUSED)]
        elif kind == "broken":
            answer = FLAWED[row % len(FLAWED)]
        source = self.of[row] if kind in ("duplicate", "near-duplicate") else row
        label = list(BASE)[self.words[self.pieces[source, 0]][1]]
        said = {"role": "assistant", "content": answer}
        facts = Facts(created=1_700_000_000 + row)
        return Item(
            Kind.CHAT, ({"role": "user", "content": asked},), said, label=label, facts=facts, source=Source(row=row + 1)
        )

    def asked(self, row: int) -> str:
        """Three pieces of up to twelve words, each from somewhere within a text."""
        parts: list[str] = []
        for piece, cut in zip(self.pieces[row].tolist(), self.cuts[row].tolist(), strict=True):
            words = self.words[piece][0]
            start = int(cut * max(len(words) - 11, 1))
            parts += words[start : start + 12]
        return " ".join(parts)


def steps(data: Path, count: int) -> dict[str, Any]:
    """Each step over all rows: seconds, rows a second, the highest memory so far, what was planted and found."""
    rows = Made(data, count)
    started = time.perf_counter()
    for _ in rows:
        pass
    making = time.perf_counter() - started
    tests = tuple(Item(Kind.TEXT, ({"role": "user", "content": text},)) for text in rows.tests)
    found: dict[str, Any] = {"rows": count, "making_rows_seconds": making}
    for name in STEPS:
        curation = settings_of(name)
        started, burnt = time.perf_counter(), time.process_time()
        taken = curate(rows, curation, Means(tests={"gsm8k": tests}))
        seconds, cpu = time.perf_counter() - started, time.process_time() - burnt
        curated = taken.steps[0]
        dropped = {row: reason_word(reason) for row, reason in curated.reasons.items()}
        found[name] = {
            "seconds": seconds,
            "rows_per_second": count / seconds,
            "cpu_microseconds_per_row": cpu / count * 1e6,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "counts": curated.counts,
            **recall(rows, name, dropped),
        }
        tell(f"{name}: {seconds:.0f} s, {count / seconds:,.0f} rows a second")
    return found


def settings_of(step: str) -> Curation:
    from stillhouse.data.curation.balance import Balance

    return Curation(steps=(step,), balance=Balance(ratio=1.0, power=0.5))


def recall(rows: Made, step: str, dropped: dict[int, str]) -> dict[str, float]:
    """The share of what was planted for a step that it dropped."""
    if step not in PLANTED:
        return {}
    own = np.flatnonzero(rows.kind == KINDS.index(PLANTED[step])).tolist()
    return {"planted": len(own), "recall": sum(row in dropped for row in own) / max(len(own), 1)}


def label_errors(data: Path) -> dict[str, Any]:
    """Suspects among the labels that people gave to AG News, against the true ones."""
    with gzip.open(data / "ag_news" / "train_subset.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row.get("human_noisy_label") is not None]
    true, given = (np.array([row[name] for row in rows]) for name in ("label", "human_noisy_label"))
    wrong = true != given
    started = time.perf_counter()
    bags = bags_of((normalise(row["text"]) for row in rows), 4)
    folds = np.random.default_rng(0).integers(0, 5, len(rows))
    shares = out_of_fold(bags, given, 4, folds)
    seconds = time.perf_counter() - started
    found: dict[str, Any] = {
        "rows": len(rows), "wrong": float(wrong.mean()), "seconds": seconds,
        "accuracy_against_true": float((shares.argmax(axis=1) == true).mean()),
    }  # fmt: skip
    for rule in Rule:
        suspects = likely_wrong(shares, given, rule)
        found[rule.value] = {
            "suspects": int(suspects.sum()),
            "precision": float((suspects & wrong).sum() / suspects.sum()),
            "recall": float((suspects & wrong).sum() / wrong.sum()),
        }
    worst = np.argsort(-margins(shares, given), kind="stable")
    found["precision_of_the_first"] = {str(most): float(wrong[worst[:most]].mean()) for most in (100, 300, 1_000)}
    return found | peer(shares, given)


def peer(shares: Any, given: Any) -> dict[str, Any]:
    """Whether cleanlab, where it is installed, suspects the same rows by the same probabilities."""
    try:
        from cleanlab.filter import find_label_issues  # pyright: ignore[reportMissingImports]  # a peer, no dependency
    except ImportError:
        return {"cleanlab": None}
    whole = shares / shares.sum(axis=1, keepdims=True)
    theirs = {Rule.CONFIDENT: "confident_learning", Rule.NOISE_RATE: "prune_by_noise_rate"}
    equal: dict[str, bool] = {}
    for rule, name in theirs.items():
        issues = find_label_issues(given, whole, filter_by=name, n_jobs=1)
        equal[rule.value] = bool((issues == likely_wrong(shares, given, rule)).all())
    return {"cleanlab": {"version": version("cleanlab"), "same_suspects": equal}}


def told_languages(data: Path, most: int) -> dict[str, Any]:
    """Of sentences in fourteen languages and of English texts: the share told right, told wrong and not told."""
    pairs = [(code, text) for code, texts in SENTENCES.items() for text in texts]
    found = {"sentences": judge([text for _, text in pairs], [code for code, _ in pairs])}
    for name, field in BASE.items():
        texts = random.Random(0).sample(texts_of(data, name, field), most)
        found[name] = judge(texts, ["en"] * most)
    return found


def judge(texts: Sequence[str], codes: Sequence[str]) -> dict[str, float]:
    items = [Item(Kind.TEXT, ({"role": "user", "content": text},)) for text in texts]
    started = time.perf_counter()
    told = [item.facts.language for item in languages(items, Languages()).kept]
    seconds = time.perf_counter() - started
    right = sum(one == code for one, code in zip(told, codes, strict=True))
    silent = sum(one is None for one in told)
    return {
        "texts": len(texts), "right": right / len(texts), "not_told": silent / len(texts),
        "wrong": (len(texts) - right - silent) / len(texts), "seconds": seconds,
    }  # fmt: skip


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    rows = options.rows or (20_000 if options.quick else 1_000_000)
    made = steps(options.data, rows)
    labels = label_errors(options.data)
    spoken = told_languages(options.data, 300 if options.quick else 3_000)
    return {
        "benchmark": "curation",
        "command": f"python benchmarks/curation.py{' --quick' if options.quick else f' --rows {rows}'} --json",
        "quick": options.quick,
        "versions": {
            "stillhouse": stillhouse.__version__,
            "python": platform.python_version(),
            **{name: str(version(name)) for name in ("numpy", "rensa", "py3langid")},
        },
        "hardware": {"processor": platform.machine()},
        "steps": made,
        "label_errors": labels,
        "languages": spoken,
        "targets": list(targets(made, labels, spoken)),
    }


def targets(made: dict[str, Any], labels: dict[str, Any], spoken: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in PLANTED:
        yield goal(f"{name}: planted rows found", 0.99, made[name]["recall"], made[name]["recall"] >= 0.99)
    usual = 1e6 / sum(made[step]["cpu_microseconds_per_row"] for step in Curation().steps)
    yield goal("the usual four steps, rows per second of one core", 4_000, usual, usual >= 4_000)
    if made["rows"] >= FEWEST_FOR_MEMORY:
        size = max(made[name]["peak_memory_mb"] for name in STEPS) * 2**20 / made["rows"]
        yield goal("highest memory, bytes a row", 4_096, size, size <= 4_096)
    better = labels[Rule.NOISE_RATE.value]["precision"] / labels["wrong"]
    yield goal("label suspects that are wrong, times chance", 3.0, better, better >= 3)
    right = spoken["sentences"]["right"]
    yield goal("sentences in 14 languages told right", 0.97, right, right >= 0.97)
    wrong = max(spoken[name]["wrong"] for name in BASE)
    yield goal("English texts told wrong, at most", 0.005, wrong, wrong <= 0.005)


def table(result: dict[str, Any]) -> Iterator[str]:
    made = result["steps"]
    making = f"{made['making_rows_seconds']:.0f} s"
    yield f"{made['rows']:,} rows; making them takes {making}, and is in each step's time once or more"
    yield ""
    yield "| step | seconds | rows/s | us of CPU a row | memory MB | found of planted |"
    yield "|---|---|---|---|---|---|"
    for name in STEPS:
        one = made[name]
        found = f"{one['recall']:.2%} of {one['planted']:,}" if "recall" in one else ""
        figures = [
            f"{one[key]:,.0f}" for key in ("seconds", "rows_per_second", "cpu_microseconds_per_row", "peak_memory_mb")
        ]
        yield f"| {' | '.join([name, *figures, found])} |"
    labels = result["label_errors"]
    yield ""
    yield f"label errors: {labels['rows']:,} rows, {labels['wrong']:.1%} wrong, {labels['seconds']:.0f} s"
    for rule in Rule:
        one = labels[rule.value]
        yield f"  {rule}: {one['suspects']:,} suspects, precision {one['precision']:.1%}, recall {one['recall']:.1%}"
    yield f"  of those with the largest margins: {labels['precision_of_the_first']}; cleanlab: {labels['cleanlab']}"
    yield ""
    for name, one in result["languages"].items():
        shares = f"right {one['right']:.1%}, not told {one['not_told']:.1%}, wrong {one['wrong']:.2%}"
        yield f"{name}: {shares} of {one['texts']:,}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--rows", type=int, help="rows of the steps; 1,000,000, or 20,000 with --quick")
    parser.add_argument("--quick", action="store_true", help="little of everything, in under two minutes: no evidence")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--out", type=Path, help="write the JSON object to this file too")
    options = parser.parse_args()
    result = benchmark(options)
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text if options.json else "\n".join([*table(result), *goals(result["targets"])]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
