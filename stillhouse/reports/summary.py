"""The text of `stillhouse inspect`: manifest and certificate on one screen."""

from __future__ import annotations

import textwrap

from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.manifest import Manifest
from stillhouse.reports import figures, sentences

__all__ = ["summary"]

WIDTH = 96
SHOWN_LABELS = 8


def summary(manifest: Manifest, certificate: Certificate) -> str:
    """Plain text: what the student is, what it answers, what is promised, and what that rests on."""
    cascade = certificate.cascade
    low, high = (figures.percent(end) for end in certificate.interval)
    rows = [
        ("student", f"{manifest.name} ({manifest.student}), taught by {manifest.teacher}"),
        ("prompt", _prompt(manifest)),
        *((f"answers {name}".strip(), labels) for name, labels in _labels(manifest)),
        ("verdict", f"{certificate.verdict}. {certificate.reason}"),
        ("agreement", _agreement(certificate, low, high)),
        (
            "cascade",
            " ".join(
                [
                    sentences.cascade_promise(certificate.cascade, certificate.non_inferior),
                    sentences.cascade_measured(cascade),
                ]
            ),
        ),
        ("", cascade.reason),
        *([("true answers", sentences.paired_sentence(certificate))] if certificate.paired else []),
        ("methods", f"{certificate.method}; {cascade.method}"),
        *((f"sha256 {path}", digest) for path, digest in manifest.files.items()),
    ]
    wide = min(max(len(name) for name, _ in rows), 28)
    return sentences.verdict_sentence(certificate) + "\n\n" + "\n".join(_row(name, words, wide) for name, words in rows)


def _agreement(certificate: Certificate, low: str, high: str) -> str:
    if not certificate.test_rows:
        return "unknown: no sealed calls"
    confidence, calls = figures.whole_percent(certificate.confidence), figures.count(certificate.test_rows)
    return (
        f"{figures.percent(certificate.agreement)}, {low} to {high} at {confidence} confidence, on {calls} sealed calls"
    )


def _prompt(manifest: Manifest) -> str:
    form = manifest.prompt
    parts = [f"{len(form.leading)} constant message{'s' * (len(form.leading) != 1)}"]
    parts += [f"prefix “{figures.shorten(form.prefix, 60)}”"] if form.prefix else []
    parts += [f"suffix “{figures.shorten(form.suffix, 60)}”"] if form.suffix else []
    return ", ".join([*parts, "several turns" if form.several_turns else "one turn"])


def _labels(manifest: Manifest) -> list[tuple[str, str]]:
    """Each field with its first labels."""
    found: list[tuple[str, str]] = []
    for part in manifest.answer.fields:
        shown = [figures.shorten(part.show(index), 40) for index in range(min(len(part.labels), SHOWN_LABELS))]
        more = len(part.labels) - len(shown)
        words = f"{len(part.labels)} labels: {', '.join(shown)}" + (f" and {more} more" if more else "")
        found.append((figures.shorten(part.name, 20) if part.name is not None else "", words))
    return found


def _row(name: str, words: str, wide: int) -> str:
    """A name and its words, wrapped beside it; a longer name gets a line of its own."""
    lines = textwrap.wrap(figures.shorten(words, 2000), WIDTH - wide - 2, break_on_hyphens=False) or [""]
    head = f"{name:<{wide}}  {lines[0]}" if len(name) <= wide else f"{name}\n{'':<{wide}}  {lines[0]}"
    return "\n".join([head, *(f"{'':<{wide}}  {line}" for line in lines[1:])])
