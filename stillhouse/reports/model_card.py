"""The model card: the README.md of a bundle, with the front matter that model hubs read."""

from __future__ import annotations

import json
import math
import re
import shlex

from stillhouse.reports import figures, pages, sentences
from stillhouse.reports.record import RunRecord

__all__ = ["render"]

MOST_LABELS = 200


def render(record: RunRecord) -> str:
    """The card as Markdown; texts from outside cannot break out of their line."""
    certificate = record.certificate
    filters = {"code": _code, "fenced": _fenced, "number": _number, "quoted": _quoted, "words": _words}
    card = pages.open_template("model_card.md.jinja", autoescape=False, filters=filters).render(
        record=record,
        verdict=sentences.verdict_sentence(certificate),
        promise=sentences.cascade_promise(certificate.cascade, certificate.non_inferior),
        measured=sentences.cascade_measured(certificate.cascade),
        paired=sentences.paired_sentence(certificate),
        bundle=shlex.quote(figures.shorten(record.run.bundle, 200)),
        most_labels=MOST_LABELS,
    )
    return re.sub(r"\n{3,}", "\n\n", card).strip() + "\n"


def _number(share: float) -> str:
    """A number as YAML has it."""
    return f"{share:.6g}" if math.isfinite(share) else "null"


def _quoted(text: str) -> str:
    """A foreign text as a YAML string."""
    return json.dumps(figures.shorten(text, 80), ensure_ascii=False)


def _words(text: str, limit: int) -> str:
    """A foreign text on one line, with what Markdown or HTML would act on escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#&$~])", r"\\\1", figures.shorten(text, limit))


def _code(text: str) -> str:
    """A foreign text as a code span: one line, fenced by more backticks than it holds, safe inside a table."""
    line = figures.shorten(text, 120).replace("|", "∣")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"


def _fenced(text: str) -> str:
    """A foreign text as a code block that it cannot end."""
    text = figures.printable(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"
