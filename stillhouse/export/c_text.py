"""Text students in C: a `words` or `static` subject taken apart into the numbers that the C code is made of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.export.c_fixed import Doubles
from stillhouse.export.c_source import Answers, Source
from stillhouse.export.c_static import static_source
from stillhouse.export.c_words import words_source
from stillhouse.export.subject import Subject

__all__ = ["FAMILIES", "text_source"]

FAMILIES = ("words", "static")


def text_source(subject: Subject) -> Source:
    """The C source of a bundle's student; raises UsageError for encoders, which are too large for fixed memory."""
    manifest = subject.manifest
    if manifest is None or subject.family not in FAMILIES:
        raise UsageError(
            f"{subject.folder} holds a student of the family {subject.family}; of text students only "
            f"{' and '.join(FAMILIES)} are written in C. `stillhouse distill --student words` makes one."
        )
    answers = Answers(subject.labels, tuple(manifest.temperatures))
    weights = _weights(subject.module)
    if subject.family == "words":
        return words_source(weights["table.weight"], weights["bias"], manifest.featurizer.max_tokens, answers)
    if subject.tokenizer is None:
        raise UsageError(f"{subject.folder} has no tokenizer.json, by which its student reads. Copy the whole bundle.")
    if manifest.featurizer.keep == "start":
        raise UsageError(
            f"{subject.folder} reads the start of long texts, in C only the end is read. Export it to onnx."
        )
    spec: dict[str, Any] = json.loads(subject.tokenizer.read_text(encoding="utf-8"))
    epsilon = float(getattr(subject.module.get_submodule("norm"), "eps", 1e-5))
    return static_source(weights, epsilon, spec, manifest.featurizer.max_tokens, answers)


def _weights(module: Any) -> dict[str, Doubles]:
    found = {name: value.detach().cpu().double().numpy() for name, value in module.state_dict().items()}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise UsageError(f"The student's weight {name} holds what is no number. Distil again.")
    return found
