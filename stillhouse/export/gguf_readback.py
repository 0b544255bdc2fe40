"""A GGUF file's weights read back and put into the model that they came from: what a form of numbers costs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from stillhouse.errors import ExportMismatch
from stillhouse.export.gguf import MODEL, split_student
from stillhouse.export.gguf_architecture import describe
from stillhouse.export.llama_runtime import verify_in_llama
from stillhouse.export.subject import Kind, Subject
from stillhouse.export.verify import Parity, Samples, answers, compare, compare_vectors
from stillhouse.extras import installed

__all__ = ["read_weights", "stored_in", "verify_gguf"]

Floats = npt.NDArray[np.float32]


def verify_gguf(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """Compare a file with the student it came from: in llama.cpp, or where that is not installed by its weights.

    The second shows what was lost by the form of the numbers, and not how llama.cpp computes with them.
    """
    if installed("llamacpp"):
        return verify_in_llama(subject, folder / MODEL, samples)
    expected = answers(subject, samples)
    with stored_in(subject, folder / MODEL):
        found = answers(subject, samples)
    if subject.kind is Kind.EMBEDDING:
        return compare_vectors(expected[0], found[0])
    return compare(expected, found)


def read_weights(path: Path) -> dict[str, Floats]:
    """Every weight of a file by llama.cpp's name, in float32."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    weights: dict[str, Floats] = {}
    for part in GGUFReader(path).tensors:
        shape = tuple(int(size) for size in reversed(part.shape))  # GGUF tells the innermost first
        weights[part.name] = np.array(dequantize(part.data, part.tensor_type)).reshape(shape)
    return weights


@contextmanager
def stored_in(subject: Subject, path: Path) -> Generator[None]:
    """The student with the weights of a file for as long as this lasts, and then with its own again."""
    body, heads = split_student(subject)
    described = describe(body)
    own = dict(body.named_parameters())
    names = described.names(body, int(body.config.num_hidden_layers))
    places = [(own[name], name, called) for name, called in names.items()]
    places += [(weight, "", called) for called, weight in heads.items()]
    weights = read_weights(path)
    kept = [weight.detach().clone() for weight, _, _ in places]
    try:
        with torch.no_grad():
            for weight, name, called in places:
                back = described.undo(name, torch.from_numpy(weights[called]), weight)
                if back.shape != weight.shape:
                    raise ExportMismatch(f"{called} came back as {tuple(back.shape)}, and was {tuple(weight.shape)}.")
                weight.copy_(back)
        yield
    finally:
        with torch.no_grad():
            for (weight, _, _), value in zip(places, kept, strict=True):
                weight.copy_(value)
