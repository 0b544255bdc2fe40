"""Soft labels from recorded log-probabilities: how likely the teacher held each label, not only the one it gave."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.chat import TokenLogprob
from stillhouse.data.layouts import take_apart

__all__ = ["soft_labels"]

LEAST_KNOWN = 0.5
"""With less of the teacher's probability found on labels than this, the row has no soft labels."""
ENDINGS = ",}] \n\r\t"


def soft_labels(form: AnswerForm, answer: str, tokens: Sequence[TokenLogprob]) -> list[NDArray[np.float32]] | None:
    """The teacher's distribution over the labels of each field, float32 [labels] each, or None.

    From the token a label starts at, alternatives are followed while several labels begin like the
    answer: an alternative's probability goes to the labels that begin with what it would have made
    of the text, in equal parts. What lies on no label is spread over all of them. None when the
    tokens are not those of the answer, have no alternatives, or tell too little.
    """
    labels = form.read(answer)
    if labels is None or "".join(token.token for token in tokens).strip() != answer.strip():
        return None
    starts = _starts(form, "".join(token.token for token in tokens))
    if starts is None:
        return None
    found: list[NDArray[np.float32]] = []
    for field, label, start in zip(form.fields, labels, starts, strict=True):
        scores = _walk(field, label, tokens, start)
        if scores is None:
            return None
        found.append(scores)
    return found


def _starts(form: AnswerForm, text: str) -> list[int] | None:
    """Where in the text the label of each field begins."""
    if not form.is_json:
        return [len(text) - len(text.lstrip())]
    apart = take_apart(text)
    if apart is None or any(field.name not in apart.starts for field in form.fields):
        return None
    return [apart.starts[field.name or ""] for field in form.fields]


def _walk(field: Field, label: int, tokens: Sequence[TokenLogprob], start: int) -> NDArray[np.float32] | None:
    """Scores of a field's labels along the tokens that spell the label at `start`."""
    labels = [text.strip() for text in field.labels]
    scores = np.zeros(len(labels), np.float64)
    candidates = list(range(len(labels)))
    written, position, mass, alternatives = "", 0, 1.0, False
    for token in tokens:
        end = position + len(token.token)
        if end > start and len(candidates) > 1:
            head = token.token[: max(start - position, 0)]
            for other, logprob in token.top:
                alternatives = True
                if other == token.token or not other.startswith(head):
                    continue
                hits = _fitting(labels, candidates, written + other[len(head) :], field.name is not None)
                if len(hits) < len(candidates):
                    scores[hits] += mass * math.exp(logprob) / max(len(hits), 1)
            written += token.token[len(head) :]
            mass *= math.exp(token.logprob)
            candidates = _fitting(labels, candidates, written, field.name is not None)
        position = end
    scores[label] += mass
    known = float(scores.sum())
    if not alternatives or label not in candidates or known < LEAST_KNOWN:
        return None
    scores += max(1.0 - known, 0.0) / len(labels)
    return (scores / scores.sum()).astype(np.float32)


def _fitting(labels: Sequence[str], candidates: Sequence[int], text: str, is_json: bool) -> list[int]:
    """The candidates that begin with a text, or that a text spells out whole and then ends."""
    return [index for index in candidates if labels[index].startswith(text) or _spelt(labels[index], text, is_json)]


def _spelt(label: str, text: str, is_json: bool) -> bool:
    if not text.startswith(label):
        return False
    rest = text[len(label) :]
    return rest[0] in ENDINGS if is_json and rest else not rest.strip()
