"""Manifest: what `stillhouse.json` says about a student, and the bundle folder read and written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.errors import BundleError

__all__ = ["FORMAT", "Featurizer", "Manifest", "read_certificate", "read_manifest"]

FORMAT = 1
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a torn or altered file raises."""


@dataclass(frozen=True)
class Featurizer:
    """How text becomes the student's `input_ids`: `tokenizer.json`, or hashed n-grams."""

    kind: Literal["tokenizer", "ngrams"]
    max_tokens: int
    """Longer texts are cut."""
    buckets: int = 0
    """For n-grams: the size of the table they are hashed into."""
    keep: Literal["start", "end"] = "end"
    """For a tokenizer: which end of a longer text is read."""


@dataclass(frozen=True)
class Manifest:
    """Everything needed to serve a student and to say where it comes from."""

    name: str
    student: str
    """The rung of the ladder: `words`, `static`, `encoder-2`, ..."""
    teacher: str
    prompt: PromptForm
    answer: AnswerForm
    featurizer: Featurizer
    temperatures: tuple[float, ...]
    """One per field: logits are divided by it before softmax, so that confidence is calibrated."""
    threshold: float | None
    """Certified confidence under which a call goes to the teacher; None: always to the teacher."""
    files: dict[str, str]
    """Every file the student needs, by path inside the bundle, with its SHA-256."""
    run: dict[str, Any] = field(default_factory=dict[str, Any])
    """Data hashes, splits, recipe, seeds, versions, metrics."""
    task: str = "classification"
    format: int = FORMAT

    @property
    def total_labels(self) -> int:
        return sum(len(part.labels) for part in self.answer.fields)

    def to_json(self) -> dict[str, Any]:
        """The JSON of `stillhouse.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """The manifest that `to_json` wrote; raises BundleError for another format."""
        if data.get("format") != FORMAT:
            raise BundleError(
                f"This bundle has format {data.get('format')!r}; this version of Stillhouse reads format {FORMAT}. "
                "Serve it with the version that made it, or distil again."
            )
        fields = dict(data)
        prompt, answer = dict(fields["prompt"]), fields["answer"]
        prompt["leading"] = tuple(Message(**message) for message in prompt["leading"])
        parts = tuple(Field(part["name"], tuple(part["labels"])) for part in answer["fields"])
        fields["prompt"] = PromptForm(**prompt)
        fields["answer"] = AnswerForm(parts, tuple(answer["pieces"]))
        fields["featurizer"] = Featurizer(**fields["featurizer"])
        fields["temperatures"] = tuple(fields["temperatures"])
        return cls(**fields)


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle folder; raises BundleError when there is none or it is torn."""
    path = bundle / "stillhouse.json"
    if not path.is_file() and (bundle / "compression.json").is_file():
        raise BundleError(
            f"{bundle} was made by `stillhouse compress` of a model that is no classifier of texts, and only those are "
            f"bundles. ONNX Runtime runs the graph in {bundle / 'student'}."
        )
    if not path.is_file():
        raise BundleError(f"{bundle} is not a bundle: it holds no stillhouse.json. `stillhouse distill` makes one.")
    try:
        return Manifest.from_json(json.loads(path.read_text(encoding="utf-8")))
    except _DAMAGE as error:
        raise BundleError(f"{path} is damaged ({type(error).__name__}: {error}). Distil again.") from error


def read_certificate(bundle: Path) -> Certificate:
    """The certificate of a bundle folder; raises BundleError when there is none or it is torn."""
    path = bundle / "certificate.json"
    if not path.is_file():
        raise BundleError(f"{bundle} holds no certificate.json. `stillhouse certify` makes one.")
    try:
        return Certificate.from_json(json.loads(path.read_text(encoding="utf-8")))
    except _DAMAGE as error:
        raise BundleError(f"{path} is damaged ({type(error).__name__}: {error}). Distil again.") from error
