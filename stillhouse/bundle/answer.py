"""AnswerForm: the teacher's answers as choices among labels, and labels written back in its exact words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import orjson

__all__ = ["AnswerForm", "Field", "canonical", "read_object"]

FENCE = re.compile(r"```\w*\s*(\{.*\})\s*```", re.DOTALL)
SHOWN = 60
"""Characters of an answer that a message quotes."""


def canonical(value: Any) -> bytes:
    """A JSON value as bytes that are the same for equal values, whatever their spacing and key order."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object an answer consists of, bare or in a code fence; None when it is anything else."""
    text = text.strip()
    fenced = FENCE.fullmatch(text) if text.startswith("```") else None
    try:
        value: Any = orjson.loads(fenced[1] if fenced else text)
    except ValueError:  # orjson.JSONDecodeError is one
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


@dataclass(frozen=True)
class Field:
    """One thing the teacher decides, and the answers it may give.

    For a JSON answer `name` is the key and each label is a JSON value as text (`"high"`, `3`, `null`);
    for a plain answer `name` is None and each label is the whole answer.
    """

    name: str | None
    labels: tuple[str, ...]

    def show(self, index: int) -> str:
        """A label as people read it, without JSON quotes."""
        label = self.labels[index]
        if self.name is None or not label.startswith('"'):
            return label
        return str(json.loads(label))


@dataclass(frozen=True)
class AnswerForm:
    """What answers look like: literal text around the fields, in the teacher's commonest layout.

    `pieces` alternates literal strings and field indices: `('{"intent": ', 0, '}')`.
    """

    fields: tuple[Field, ...]
    pieces: tuple[str | int, ...]

    @property
    def is_json(self) -> bool:
        return self.fields[0].name is not None

    def write(self, labels: Sequence[int]) -> tuple[str, ...]:
        """The answer for one label per field, in pieces whose concatenation is the text."""
        return tuple(
            piece if isinstance(piece, str) else self.fields[piece].labels[labels[piece]] for piece in self.pieces
        )

    def read(self, text: str) -> tuple[int, ...] | None:
        """The label of each field in an answer, or None when it is not one of this form.

        Plain answers are compared without the white space around them. JSON is compared by value, so
        spacing, key order and a code fence around it do not matter; a key that is missing counts as
        null, a key the form does not know is passed over, and a constant key must keep its value.
        """
        if not self.is_json:
            index = self._indices[0].get(text.strip())
            return None if index is None else (index,)
        answer = read_object(text)
        if answer is None or self._changed_constant(answer) is not None:
            return None
        found: list[int] = []
        for field, indices in zip(self.fields, self._indices, strict=True):
            index = indices.get(canonical(answer.get(cast("str", field.name))))
            if index is None:
                return None
            found.append(index)
        return tuple(found)

    def explain(self, text: str) -> str:
        """Why `read` answers None for a text, as a clause that ends a sentence about the row."""
        shown = json.dumps(text if len(text) <= SHOWN else text[:SHOWN] + "…", ensure_ascii=False)
        if not self.is_json:
            return f"its answer {shown} is not one of the {len(self.fields[0].labels)} labels"
        answer = read_object(text)
        if answer is None:
            return f"its answer {shown} is not a JSON object as the others are"
        changed = self._changed_constant(answer)
        if changed is not None:
            return f'"{changed}" in its answer has another value than in all other rows'
        for field, indices in zip(self.fields, self._indices, strict=True):
            value = answer.get(cast("str", field.name))
            if canonical(value) not in indices:
                value_shown = json.dumps(value, ensure_ascii=False)[:SHOWN]
                return f'"{field.name}" in its answer is {value_shown}, not one of its {len(indices)} values'
        return f"its answer {shown} cannot be read"

    @cached_property
    def _indices(self) -> tuple[dict[str | bytes, int], ...]:
        if not self.is_json:
            return ({label.strip(): index for index, label in enumerate(self.fields[0].labels)},)
        return tuple(
            {canonical(orjson.loads(label)): index for index, label in enumerate(field.labels)} for field in self.fields
        )

    @cached_property
    def _constants(self) -> dict[str, bytes]:
        """The keys that never change, with their values, as the literal pieces spell them."""
        example = read_object("".join(self.write([0] * len(self.fields)))) or {}
        names = {field.name for field in self.fields}
        return {key: canonical(value) for key, value in example.items() if key not in names}

    def _changed_constant(self, answer: dict[str, Any]) -> str | None:
        for key, value in self._constants.items():
            if key in answer and canonical(answer[key]) != value:
                return key
        return None
