"""Student: a bundle's classifier as a `Chat`, answering in the teacher's exact form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import orjson

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.manifest import Manifest
from stillhouse.chat import ChatCall, Choice, Completion, Message, Route, Shape, TokenLogprob, Usage
from stillhouse.inference.batcher import Batcher
from stillhouse.inference.onnx_classifier import Prediction
from stillhouse.inference.onnx_student import likeliest
from stillhouse.wire.errors import Unsupported
from stillhouse.wire.response_format import json_text

__all__ = ["BELOW_THRESHOLD", "PROMPT_NOT_FITTING", "Classifier", "Student"]

BELOW_THRESHOLD = "below-threshold"
PROMPT_NOT_FITTING = "prompt-not-fitting"


class Classifier(Protocol):
    """Texts in, a Prediction of each field out."""

    @property
    def manifest(self) -> Manifest: ...

    def predict(self, texts: Sequence[str]) -> Prediction: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What the classifier makes of one text: the likeliest label of each field, and how sure it is."""

    labels: list[int]
    confidence: float
    tokens: int
    probabilities: list[np.ndarray]
    """One [labels] row per field."""


@final
class Student:
    """Answers with the likeliest labels, whatever temperature is asked for, and flags what it is not sure of.

    An answer is flagged when its confidence lies under the certified threshold (or none could be
    certified), and when the prompt is not of the form that was learnt: then the last words of the user
    are read. A call for anything but these labels raises Unsupported.
    """

    def __init__(self, classifier: Classifier, workers: int = 1, seen: Callable[[int], None] | None = None) -> None:
        """`workers` batches are answered at once; `seen` is told how many calls each of them answered."""
        self._classifier = classifier
        self._manifest = classifier.manifest
        self._values = _values_by_key(self._manifest.answer)
        self._batcher: Batcher[str, Reading] = Batcher(self._read, workers=workers, seen=seen)

    async def __call__(self, call: ChatCall) -> Completion:
        """The answer to one call, `n` times the same."""
        self._refuse_what_is_beyond(call)
        text = self._manifest.prompt.read(call.messages)
        fits = text is not None
        reading = await self._batcher(_last_words(call.messages) if text is None else text)
        choice = Choice(self._pieces(reading, call.top_logprobs))
        return Completion(
            model=self._manifest.name,
            choices=(choice,) * call.n,
            usage=Usage(reading.tokens, len(choice.pieces) * call.n),
            route=Route("student", confidence=reading.confidence, flag=self._flag(reading.confidence, fits)),
        )

    def close(self) -> None:
        """Let the worker threads end."""
        self._batcher.close()

    def _refuse_what_is_beyond(self, call: ChatCall) -> None:
        if call.beyond:
            raise Unsupported(f"'{call.beyond}' is not supported: this model answers words with words.", call.beyond)
        if call.shape is not None and not self._gives(call.shape):
            raise Unsupported(
                f"This model's answers look like {self._example()!r}: they cannot satisfy 'response_format'.",
                "response_format",
            )

    def _gives(self, shape: Shape) -> bool:
        """Whether every possible answer is a JSON object of this shape."""
        if self._values is None:
            return False
        if not shape:
            return True
        if shape.keys() != self._values.keys():
            return False
        return all(allowed is None or self._values[name] <= allowed for name, allowed in shape.items())

    def _example(self) -> str:
        answer = self._manifest.answer
        return "".join(answer.write([0] * len(answer.fields)))

    def _flag(self, confidence: float, fits: bool) -> str | None:
        if not fits:
            return PROMPT_NOT_FITTING
        threshold = self._manifest.threshold
        return BELOW_THRESHOLD if threshold is None or confidence < threshold else None

    def _read(self, texts: Sequence[str]) -> list[Reading]:
        """One batch through the classifier; runs in one of the batcher's threads."""
        said = self._classifier.predict(texts)
        labels, confidence = (array.tolist() for array in likeliest(said.probabilities))
        return [
            Reading(labels[row], confidence[row], said.tokens[row], [field[row] for field in said.probabilities])
            for row in range(len(texts))
        ]

    def _pieces(self, reading: Reading, top: int) -> tuple[TokenLogprob, ...]:
        """The answer in pieces: what never varies is certain, each label has its own probability."""
        answer = self._manifest.answer
        pieces: list[TokenLogprob] = []
        for piece, token in zip(answer.pieces, answer.write(reading.labels), strict=True):
            if not token:
                continue
            if isinstance(piece, str):
                pieces.append(TokenLogprob(token, 0.0, ((token, 0.0),) if top else ()))
            else:
                row = reading.probabilities[piece]
                value = _log(float(row[reading.labels[piece]]))
                pieces.append(TokenLogprob(token, value, _likeliest(answer.fields[piece], row, top)))
        return tuple(pieces)


def _likeliest(field: Field, row: np.ndarray, top: int) -> tuple[tuple[str, float], ...]:
    if not top:
        return ()
    order: list[int] = np.argsort(-row, kind="stable")[:top].tolist()
    return tuple((field.labels[label], _log(float(row[label]))) for label in order)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


def _last_words(messages: Sequence[Message]) -> str:
    for message in reversed(messages):
        if message.role == "user" and message.content.strip():
            return message.content.strip()
    raise Unsupported("There is no user message with words in it to answer.", "messages")


def _values_by_key(answer: AnswerForm) -> dict[str, frozenset[str]] | None:
    """The JSON values that each key of an answer may have, None when answers are not bare JSON objects."""
    example = "".join(answer.write([0] * len(answer.fields)))
    if not answer.is_json or not example.lstrip().startswith("{"):
        return None
    constant = {key: frozenset([json_text(value)]) for key, value in orjson.loads(example).items()}
    varying = {
        str(field.name): frozenset(json_text(orjson.loads(label)) for label in field.labels) for field in answer.fields
    }
    return {**constant, **varying}
