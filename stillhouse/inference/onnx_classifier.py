"""OnnxClassifier: a bundle's student, texts in and calibrated label probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np

from stillhouse.artifacts import hash_file
from stillhouse.bundle.manifest import Manifest, read_manifest
from stillhouse.errors import BundleError
from stillhouse.inference.onnx_student import Floats, OnnxStudent, softmax

__all__ = ["OnnxClassifier"]


@final
class OnnxClassifier:
    """A student as it is served, with the manifest that says what it promises."""

    def __init__(self, manifest: Manifest, student: OnnxStudent) -> None:
        self.manifest, self.student = manifest, student
        self._ends = np.cumsum([len(field.labels) for field in manifest.answer.fields])[:-1]

    @classmethod
    def open(cls, bundle: Path, threads: int = 1) -> OnnxClassifier:
        """The student of a bundle folder; raises BundleError when a file is missing or altered."""
        manifest = read_manifest(bundle)
        for name, expected in manifest.files.items():
            path = bundle / name
            if not path.is_file():
                raise BundleError(f"{bundle} is incomplete: {name} is missing. Copy the whole folder, or distil again.")
            if hash_file(path) != expected:
                raise BundleError(f"{path} is not the file this bundle was made with (its hash differs). Distil again.")
        return cls(manifest, OnnxStudent.open(bundle / "student", manifest.featurizer, threads))

    def predict(self, texts: Sequence[str]) -> list[Floats]:
        """Calibrated probabilities, one `[rows, labels]` array per field."""
        return self._calibrated(self.student.logits(texts))

    def predict_many(self, texts: Sequence[str]) -> list[Floats]:
        """The same for any number of texts, in batches."""
        return self._calibrated(self.student.logits_of_many(texts, self.manifest.total_labels))

    def count_tokens(self, text: str) -> int:
        """How many ids the student reads a text as."""
        return self.student.count_tokens(text)

    def _calibrated(self, logits: Floats) -> list[Floats]:
        parts = np.split(logits, self._ends, axis=1)
        return [softmax(part, t) for part, t in zip(parts, self.manifest.temperatures, strict=True)]
