"""The tables of docs/how-to-choose.md, made from benchmarks/results: between its markers stands what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- evidence: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Row = Mapping[str, Any]


def fill(page: str) -> str:
    """The page with every part between markers made anew; raises KeyError for a part that nobody makes."""
    return MARKED.sub(lambda found: found[1] + "\n" + made(found[2]) + "\n\n" + found[3], page)


def made(part: str) -> str:
    """One part as Markdown."""
    benchmark, lines = PARTS[part]
    known = result(benchmark)
    if known is None:
        return f"*Not measured yet: `python benchmarks/{benchmark}.py`.*"
    return "\n".join(lines(known))


def result(benchmark: str) -> Row | None:
    """What a benchmark found, or None where there is no result."""
    file = RESULTS / f"{benchmark}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def plus_minus(found: Row, scale: float = 1.0, digits: int = 2, signed: bool = False) -> str:
    """An interval, or the figure alone where it is the same in every trial."""
    mean = f"{scale * found['mean']:{'+' if signed else ''}.{digits}f}"
    return mean if found["plus_minus"] is None else f"{mean} ± {scale * found['plus_minus']:.{digits}f}"


def verdict(found: Row) -> str:
    """What an interval says of a gain."""
    if found["mean"] - found["plus_minus"] > 0:
        return "better"
    return "worse" if found["mean"] + found["plus_minus"] < 0 else "cannot tell"


# Language models


def quality(found: Row) -> Iterator[str]:
    """What language models learnt, by objective and start."""
    data = found["data"]
    yield (
        f"Teacher: {found['teacher']['weights']:,} weights, {found['teacher']['nll']:.3f} nats a token on held-out "
        f"text. Students: {found['student']['weights']:,} weights, the same {data['student_tokens']:,} tokens each, "
        f"{len(found['seeds'])} seeds, 95 % intervals. *Gain* is in nats a token over the same student without a "
        "teacher."
    )
    yield ""
    head = ("student", "nats a token", "KL to the teacher", "same first choice, %", "gap closed, %", "gain", "verdict")
    yield from table(head, map(student, found["students"]))
    yield ""
    sizes = ", ".join(f"{name} {cost:.1f}" for name, cost in found["signals"]["bytes_per_token"].items())
    mass = ", ".join(f"{name} {share:.0%}" for name, share in found["signals"]["mass"].items())
    yield (
        f"Bytes a token on disk: {sizes}; all {data['vocabulary']:,} logits take {2 * data['vocabulary']:,} in half "
        f"precision. Of the teacher's mass the likeliest hold: {mass}."
    )


def student(row: Row) -> list[str]:
    """One way to learn; a gain is over the same start without a teacher."""
    alone = row["told"] == "nothing"
    gain = row["nats_gained_over_no_teacher"]
    return [
        row["name"],
        plus_minus(row["nll"], digits=3),
        plus_minus(row["kl_to_teacher"], digits=3),
        plus_minus(row["top1_agreement"], 100, 1),
        plus_minus(row["gap_closed"], 100, 0),
        "" if alone else plus_minus(gain, digits=3, signed=True),
        "the control" if alone else verdict(gain),
    ]


# Features and relations


def features(name: str) -> Callable[[Row], Iterator[str]]:
    """What methods gained on one kind of data."""

    def lines(found: Row) -> Iterator[str]:
        field = next(field for field in found["fields"] if field["name"] == name)
        yield (
            f"{name}: a teacher of {field['teacher']['weights']:,} weights ({field['teacher']['accuracy']:.1%} right), "
            f"students of {field['student']['weights']:,}, {field['rows']['student']:,} labelled rows, "
            f"{field['rows']['test']:,} test rows, {len(found['seeds'])} seeds, 95 % intervals; gains in points of "
            "accuracy, paired by seed."
        )
        yield ""
        head = (
            "method",
            "accuracy, %",
            "agreement with the teacher, %",
            "over labels alone",
            "over forward KL",
            "verdict",
        )
        yield from table(head, map(method, field["methods"]))

    return lines


def method(row: Row) -> list[str]:
    """A method of features is compared with answers alone, others with labels alone."""
    over = "gain_over_answers_alone" if row["name"].startswith("+") else "gain_over_labels_alone"
    alone = row["name"] == "labels alone"
    return [
        row["name"],
        plus_minus(row["accuracy"], 100),
        plus_minus(row["agreement"], 100),
        "" if alone else plus_minus(row["gain_over_labels_alone"], 100, signed=True),
        "" if row["name"] == "forward KL" else plus_minus(row["gain_over_answers_alone"], 100, signed=True),
        "the control" if alone else verdict(row[over]),
    ]


# Sentence encoders


def embeddings(found: Row) -> Iterator[str]:
    """What sentence encoders kept of their teacher."""
    data = found["data"]
    yield (
        f"{data['texts']:,} unlabelled texts, {data['epochs']['encoders']} epochs ({data['epochs']['static']} for the "
        f"static student), {len(found['seeds'])} seeds. *Found* is how often the nearest other text has the same "
        "intent; *like the teacher* the rank correlation of similarities."
    )
    yield ""
    head = (
        "student",
        "found, BANKING77 %",
        "found, CLINC150 %",
        "like the teacher, CLINC150",
        "like the teacher, AG News",
        "MB",
        "texts a second",
        "ms a text",
    )
    yield from table(head, map(encoder, found["students"]))


def encoder(row: Row) -> list[str]:
    """One sentence encoder."""
    return [
        row["name"],
        plus_minus(row["banking77_recall"], 100, 1),
        plus_minus(row["clinc150_recall"], 100, 1),
        plus_minus(row["clinc150_spearman"], digits=3),
        plus_minus(row["ag_news_spearman"], digits=3),
        f"{row['megabytes']:.1f}",
        f"{row['texts_per_second']:,.0f}",
        f"{row['milliseconds_a_text']:.2f}",
    ]


# The ladder of text students


def ladder(found: Row) -> Iterator[str]:
    """What each rung keeps of its teacher, with all labels known."""
    yield "All labels known; served by ONNX Runtime on one thread. *Alone* is the same student without a teacher."
    yield ""
    rows = [
        [
            name,
            one["name"],
            f"{100 * one['accuracy']:.1f}",
            "" if one["control_accuracy"] is None else f"{100 * one['control_accuracy']:.1f}",
            f"{100 * one['accuracy_kept']:.1f}",
            f"{one['times_smaller']:.0f}",
            f"{one['times_faster_than_pytorch']:.0f}",
        ]
        for name, dataset in found["datasets"].items()
        for one in dataset["students"]
    ]
    head = ("dataset", "student", "accuracy, %", "alone, %", "of the teacher's, %", "times smaller", "times faster")
    yield from table(head, rows)


def few_labels(found: Row) -> Iterator[str]:
    """What unanswered prompts are worth where answers are few."""
    yield "BANKING77 with few answered calls for each of 77 labels, and all other prompts unanswered; accuracy in %."
    yield ""
    names = ("words control", "words distilled", "static control", "static distilled", "teacher")
    rows = [
        [str(row["answered_per_label"]), *(plus_minus(row["accuracy"][name], 100, 1) for name in names)]
        for row in found["few_labels"]
    ]
    head = ("answers a label", "words, alone", "words, distilled", "static, alone", "static, distilled", "teacher")
    yield from table(head, rows)


# What it costs


def costs(first: int) -> Callable[[Row], Iterator[str]]:
    """The first targets of a benchmark, with what was measured."""

    def lines(found: Row) -> Iterator[str]:
        rows = [[goal["name"], figure(goal["measured"]), figure(goal["target"])] for goal in found["targets"][:first]]
        yield from table(("measured", "figure", "to reach"), rows)

    return lines


def figure(value: Any) -> str:
    """A number, as many digits as it is worth."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


PARTS: Mapping[str, tuple[str, Callable[[Row], Iterator[str]]]] = MappingProxyType(
    {
        "quality": ("quality", quality),
        "texts": ("features", features("BANKING77")),
        "pictures": ("features", features("Fashion-MNIST")),
        "embeddings": ("embeddings", embeddings),
        "ladder": ("text_students", ladder),
        "few_labels": ("text_students", few_labels),
        "signals": ("signals", costs(5)),
        "offline_online": ("offline_online", costs(4)),
        "cross_tokenizer": ("cross_tokenizer", costs(5)),
        "fused_head": ("fused_head", costs(7)),
    }
)
"""Every part of the page: the benchmark whose result it shows, and how."""
