"""OnnxClassifier: a bundle's student, texts in and calibrated label probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from stillhouse.artifacts import hash_file
from stillhouse.bundle.erased import refuse_withdrawn
from stillhouse.bundle.manifest import Manifest, read_manifest
from stillhouse.errors import BundleError
from stillhouse.inference.onnx_student import Floats, OnnxStudent, shares

__all__ = ["OnnxClassifier", "Prediction"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier makes of some texts."""

    probabilities: list[Floats]
    """Calibrated, one `[texts, labels]` array per field."""
    tokens: list[int]
    """How many ids each text was read as."""


@final
class OnnxClassifier:
    """A student as it is served, with the manifest that says what it promises."""

    def __init__(self, manifest: Manifest, student: OnnxStudent) -> None:
        self.manifest, self.student = manifest, student
        self._sizes = [len(field.labels) for field in manifest.answer.fields]

    @classmethod
    def open(cls, bundle: Path, threads: int = 1) -> OnnxClassifier:
        """The student of a bundle folder; raises BundleError when a file is missing or altered, or it was withdrawn."""
        refuse_withdrawn(bundle)
        manifest = read_manifest(bundle)
        for name, expected in manifest.files.items():
            path = bundle / name
            if not path.is_file():
                raise BundleError(f"{bundle} is incomplete: {name} is missing. Copy the whole folder, or distil again.")
            if hash_file(path) != expected:
                raise BundleError(f"{path} is not the file this bundle was made with (its hash differs). Distil again.")
        return cls(manifest, OnnxStudent.open(bundle / "student", manifest.featurizer, threads))

    def predict(self, texts: Sequence[str]) -> Prediction:
        """Read and classify any number of texts."""
        rows = self.student.read(texts)
        probabilities = shares(self.student.score(rows), self._sizes, self.manifest.temperatures)
        return Prediction(probabilities, [len(ids) for ids in rows])
