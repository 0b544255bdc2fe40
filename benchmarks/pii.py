"""Personal data: how much of it is found, how much that is found is none, and how long a thousand characters take.

    python benchmarks/pii.py [--peers PEERS] [--quick] [--json]

The sentences are those of `pii_presidio_synth` whose templates were kept from all tuning: three of ten, by the hash of
the template's number. A piece counts as found when a span of the right kind touches it, and a span as right when it
touches a piece of its kind; `covered` counts pieces that any span touches: they would not have stayed in a text.
Intervals are of 95 %, by 2,000 resamples of templates, whose sentences are not independent. Kinds that we do not look
for (titles, ages, nationalities, dates that are none of birth, names of domains) are left out on both sides.

Speed is told for texts of 1,000 characters: answers of chat models, sums of GSM8K, and sentences of the set itself, one
after the other, which hold far more personal data than any traffic. Each text is timed five times and its least counts.

`--peers` is a folder with Presidio, spaCy and a model (see `name_tagger.py`), measured on the same sentences, alone and
as our second look.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from name_tagger import TEACHER, is_tested, use
from trials import goal, goals, tell

from stillhouse.data.personal.presidio import Presidio
from stillhouse.data.pii import CERTAIN, Type, find
from stillhouse.data.redact import How, Redactor
from stillhouse.extras import version

KINDS = {
    "PERSON": "person",
    "ORGANIZATION": "organization",
    "GPE": "location",
    "STREET_ADDRESS": "address",
    "ZIP_CODE": "address",
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "US_SSN": "national_id",
    "IP_ADDRESS": "ip",
    "US_DRIVER_LICENSE": "driver_license",
}
"""The labels of the set that count, and our kinds."""
PRESIDIO = {
    "PERSON": "person",
    "ORGANIZATION": "organization",
    "LOCATION": "location",
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "US_SSN": "national_id",
    "IP_ADDRESS": "ip",
    "US_DRIVER_LICENSE": "driver_license",
}
RESAMPLES = 2_000
LENGTH = 1_000
Piece = tuple[int, int, str]
Finder = Callable[[str], list[Piece]]
Row = dict[str, Any]


def rows(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def ours(text: str, second: Presidio | None = None) -> list[Piece]:
    return [(each.start, each.end, each.type.value) for each in find(text, frozenset(Type), second=second)]


def touches(one: Piece, other: Piece) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def counts_of(sentences: Sequence[Row], finder: Finder) -> dict[str, dict[int, np.ndarray]]:
    """By kind and template: pieces, found, covered, spans, right spans."""
    counts: dict[str, dict[int, np.ndarray]] = defaultdict(lambda: defaultdict(lambda: np.zeros(5)))
    for row in sentences:
        said = [(each["start"], each["end"], KINDS[each["label"]]) for each in row["spans"] if each["label"] in KINDS]
        other = [(each["start"], each["end"], "") for each in row["spans"] if each["label"] not in KINDS]
        found = finder(row["text"])
        for piece in said:
            near = [span for span in found if touches(span, piece)]
            counts[piece[2]][row["template_id"]] += [1, any(span[2] == piece[2] for span in near), bool(near), 0, 0]
        for span in found:
            near = [piece for piece in said if touches(span, piece)]
            if near or not any(touches(span, piece) for piece in other):
                counts[span[2]][row["template_id"]] += [0, 0, 0, 1, any(piece[2] == span[2] for piece in near)]
    return counts


def shares(by_template: dict[int, np.ndarray], seed: int) -> dict[str, Any]:
    """Recall, covered and precision, each with its interval by a bootstrap over templates."""
    table = np.array(list(by_template.values()))
    drawn = np.random.default_rng(seed).integers(0, len(table), (RESAMPLES, len(table)))
    whole, sums = table.sum(axis=0), table[drawn].sum(axis=1)
    found: dict[str, Any] = {"pieces": int(whole[0]), "spans": int(whole[3]), "templates": len(table)}
    for name, top, bottom in (("recall", 1, 0), ("covered", 2, 0), ("precision", 4, 3)):
        if whole[bottom]:
            some = sums[sums[:, bottom] > 0]
            low, high = np.quantile(some[:, top] / some[:, bottom], [0.025, 0.975])
            found[name] = {"share": round(whole[top] / whole[bottom], 4), "interval": [round(low, 4), round(high, 4)]}
    return found


def quality(sentences: Sequence[Row], finder: Finder, seed: int) -> dict[str, Any]:
    counts = counts_of(sentences, finder)
    return {kind: shares(by_template, seed) for kind, by_template in sorted(counts.items())}


def texts_of(data: Path, sentences: Sequence[Row], count: int) -> dict[str, list[str]]:
    """Texts of 1,000 characters, of several kinds."""

    def cut(parts: Sequence[str], gap: str) -> list[str]:
        whole = gap.join(parts)
        return [whole[start : start + LENGTH] for start in range(0, min(len(whole) - LENGTH, count * LENGTH), LENGTH)]

    answers = [row["text"] for row in rows(data / "vicuna_judge" / "answers.jsonl.gz")]
    sums = [row["question"] for row in rows(data / "gsm8k" / "train.jsonl.gz")][:2_000]
    return {
        "answers": cut(answers, "\n\n"),
        "sums": cut(sums, "\n"),
        "personal": cut([row["text"] for row in sentences], "\n"),
    }


def times(texts: Sequence[str], work: Callable[[str], Any], repeats: int = 5) -> dict[str, float]:
    """Milliseconds for a text of 1,000 characters."""
    least: list[float] = []
    for text in texts:
        taken: list[float] = []
        for _ in range(repeats):
            started = time.perf_counter()
            work(text)
            taken.append(time.perf_counter() - started)
        least.append(min(taken) * 1e3)
    cuts = statistics.quantiles(least, n=100, method="inclusive")
    return {"p50": round(cuts[49], 4), "p95": round(cuts[94], 4), "texts": len(texts)}


def presidio(peers: Path) -> tuple[Finder, dict[str, str]]:
    """Presidio's engine with all that it has by default for English, kept from the network."""
    use(peers)
    import logging

    logging.disable(logging.ERROR)
    import tldextract  # pyright: ignore[reportMissingImports]
    from presidio_analyzer import AnalyzerEngine  # pyright: ignore[reportMissingImports]
    from presidio_analyzer.nlp_engine import NlpEngineProvider  # pyright: ignore[reportMissingImports]

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # by default it asks a server for its list
    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": TEACHER}]}
    engine = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine())

    def finder(text: str) -> list[Piece]:
        found = engine.analyze(text, language="en")
        return [(each.start, each.end, PRESIDIO[each.entity_type]) for each in found if each.entity_type in PRESIDIO]

    return finder, {name: str(version(name)) for name in ("presidio-analyzer", "spacy", TEACHER)}


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    every = list(rows(given.data / "pii_presidio_synth" / "synth_v2.jsonl.gz"))
    sentences = [row for row in every if is_tested(row["template_id"])]
    if given.quick:
        sentences = sentences[:100]
    tell(f"{len(sentences)} sentences of {len({row['template_id'] for row in sentences})} templates")
    mine = quality(sentences, ours, given.seed)
    texts = texts_of(given.data, sentences, 40 if given.quick else 200)
    redactor = Redactor(How.REDACT)
    forms = frozenset(Type) - {Type.PERSON, Type.ORGANIZATION, Type.LOCATION}
    speed: dict[str, Any] = {}
    for name, some in texts.items():
        speed[name] = {
            "find": times(some, lambda text: find(text, CERTAIN)),
            "find, forms alone": times(some, lambda text: find(text, forms)),
            "redact": times(some, redactor.text),
        }
        tell(f"{name}: {speed[name]['find']}")
    peer: dict[str, Any] | None = None
    if given.peers:
        finder, versions = presidio(given.peers)
        peer = {"versions": versions, "quality": quality(sentences, finder, given.seed)}
        peer["speed"] = {name: times(some[:20], finder, 2) for name, some in texts.items()}
        both = partial(ours, second=Presidio(TEACHER))
        peer["beside_ours"] = {"quality": quality(sentences, both, given.seed)}
    return {
        "benchmark": "pii",
        "command": " ".join(["python benchmarks/pii.py", *flags(given)]),
        "quick": given.quick,
        "seed": given.seed,
        "versions": {"python": platform.python_version(), "numpy": str(version("numpy"))},
        "machine": platform.machine(),
        "sentences": len(sentences),
        "quality": mine,
        "milliseconds_per_1000_characters": speed,
        "presidio": peer,
        "targets": targets(mine, speed),
    }


def targets(mine: dict[str, Any], speed: dict[str, Any]) -> list[dict[str, Any]]:
    found = [
        goal(f"{kind}: recall", f">= {least}", mine[kind]["recall"]["share"], mine[kind]["recall"]["share"] >= least)
        for kind, least in (("card", 0.95), ("email", 0.98), ("phone", 0.9), ("person", 0.9), ("address", 0.7))
        if kind in mine
    ]
    found += [
        goal(
            f"{kind}: precision",
            f">= {least}",
            mine[kind]["precision"]["share"],
            mine[kind]["precision"]["share"] >= least,
        )
        for kind, least in (("card", 0.95), ("email", 0.98), ("phone", 0.9), ("person", 0.8), ("address", 0.9))
        if kind in mine and "precision" in mine[kind]
    ]
    for name in ("answers", "sums"):
        taken = speed[name]["find"]["p50"]
        found.append(goal(f"{name}: ms per 1,000 characters, p50", "<= 0.5", taken, taken <= 0.5))
    return found


def flags(given: argparse.Namespace) -> list[str]:
    words = ["--peers PEERS"] if given.peers else []
    words += [f"--seed {given.seed}"] if given.seed else []
    return [*words, *(["--quick"] if given.quick else []), "--json"]


def shown(result: dict[str, Any]) -> Iterator[str]:
    """The result as people read it."""

    def share(found: dict[str, Any], name: str) -> str:
        if name not in found:
            return "-"
        low, high = found[name]["interval"]
        return f"{found[name]['share']:.3f} [{low:.3f}, {high:.3f}]"

    yield "| kind | pieces | recall | covered | precision | Presidio: recall | precision | both: recall | precision |"
    yield "|---|---|---|---|---|---|---|---|---|"
    peer = (result["presidio"] or {}).get("quality", {})
    both = (result["presidio"] or {}).get("beside_ours", {}).get("quality", {})
    for kind, found in result["quality"].items():
        others = (peer.get(kind, {}), both.get(kind, {}))
        cells = [share(found, name) for name in ("recall", "covered", "precision")]
        cells += [share(other, name) for other in others for name in ("recall", "precision")]
        yield f"| {kind} | {found['pieces']} | {' | '.join(cells)} |"
    yield ""
    for name, kinds in result["milliseconds_per_1000_characters"].items():
        told = [f"{work} {taken['p50']:.3f} ({taken['p95']:.3f})" for work, taken in kinds.items()]
        yield f"{name}: {'; '.join(told)}"
        if result["presidio"]:
            taken = result["presidio"]["speed"][name]
            yield f"  Presidio {taken['p50']:.1f} ({taken['p95']:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--peers", type=Path, help="a folder with Presidio, spaCy and a model: measured too")
    parser.add_argument("--quick", action="store_true", help="a hundred sentences and few texts: no evidence")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--out", type=Path, help="write the JSON object to this file too")
    given = parser.parse_args()
    result = benchmark(given)
    text = json.dumps(result, indent=1)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")
    print(text if given.json else "\n".join([*shown(result), *goals(result["targets"])]))


if __name__ == "__main__":
    main()
