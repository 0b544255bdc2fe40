"""OnnxStudent: a folder with `model.onnx`, and texts to its raw scores by ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from stillhouse.bundle.manifest import Featurizer
from stillhouse.models.tokenizers import Reader, open_reader, pad

__all__ = ["Floats", "OnnxStudent", "likeliest", "softmax"]

Floats = npt.NDArray[np.float32]


@final
class OnnxStudent:
    """Reads texts and scores every label of every field, side by side."""

    def __init__(self, session: Any, reader: Reader) -> None:
        self._session, self._reader = session, reader

    @classmethod
    def open(cls, folder: Path, featurizer: Featurizer, threads: int = 1) -> OnnxStudent:
        """The student in `folder`, on `threads` threads (0: one per core)."""
        runtime = cast("Any", onnxruntime)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = str(folder / "model.onnx")
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return cls(session, open_reader(featurizer, folder))

    def logits(self, texts: Sequence[str]) -> Floats:
        """Raw scores `[rows, all labels]`, in one pass."""
        ids, mask = pad(self._reader.ids(texts))
        scores: Floats = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        return scores

    def logits_of_many(
        self, texts: Sequence[str], width: int, tell: Callable[[int], None] = lambda done: None
    ) -> Floats:
        """Raw scores `[rows, width]` of any number of texts, batched by length; `tell` hears how many are done."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        scores = np.zeros((len(texts), width), dtype=np.float32)
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            scores[rows] = self.logits([texts[row] for row in rows])
            tell(start + len(rows))
        return scores

    def count_tokens(self, text: str) -> int:
        """How many ids a text is read as."""
        return len(self._reader.ids([text])[0])


def likeliest(probabilities: Sequence[Floats]) -> tuple[npt.NDArray[np.int64], Floats]:
    """The likeliest label of each field `[rows, fields]`, and the confidence `[rows]`: the product of their shares."""
    labels = np.stack([rows.argmax(axis=1) for rows in probabilities], axis=1).astype(np.int64)
    confidence: Floats = np.prod([rows.max(axis=1) for rows in probabilities], axis=0)
    return labels, confidence


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """exp(z / T) / sum exp(z / T) over the last axis."""
    powers = np.exp((logits - logits.max(axis=-1, keepdims=True)) / np.float32(temperature))
    return powers / powers.sum(axis=-1, keepdims=True)
