"""A GGUF file run by llama.cpp itself, through llama-cpp-python: its tokens, and what it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from stillhouse.errors import ExportMismatch, ModelFailed, UsageError
from stillhouse.export.pooling import open_stack
from stillhouse.export.subject import Kind, Subject
from stillhouse.export.verify import Parity, Samples, Tolerance, answers, compare, compare_vectors, shares
from stillhouse.extras import require

__all__ = ["TOLERANCES", "LlamaRuntime", "read_alike", "verify_in_llama"]

Floats = npt.NDArray[np.float32]

TOLERANCES = {
    "f32": Tolerance(0.99, 5e-3),
    "f16": Tolerance(0.98, 1e-2),
    "bf16": Tolerance(0.95, 5e-2),
    "q8_0": Tolerance(0.95, 5e-2),
    "q5_1": Tolerance(0.85, 0.15),
    "q5_0": Tolerance(0.85, 0.15),
    "q4_1": Tolerance(0.70, 0.30),
    "q4_0": Tolerance(0.70, 0.30),
}
"""How far a file may be from its student, by its form: wide enough for drawn texts, whose nearest neighbours are near
ties. Even f32 is not exact: llama.cpp computes gelu from a table of half-precision numbers, and keeps keys and values
of attention in half precision."""
READ, FEW = 0.9, 2
"""The least share of texts that llama.cpp must read as the student's own tokenizer does; a few are never too many."""


@final
class LlamaRuntime:
    """One open GGUF file."""

    def __init__(self, path: Path, kind: Kind, context: int = 512, threads: int = 1) -> None:
        require("llamacpp", "run GGUF files")
        import llama_cpp  # pyright: ignore[reportMissingImports]

        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # it takes llama.cpp's hints for errors
        self._lib: Any = llama_cpp
        self.kind, self.context = kind, context
        self._lib.llama_backend_init()
        wanted = self._lib.llama_model_default_params()
        wanted.n_gpu_layers = 0
        self._model = self._lib.llama_model_load_from_file(str(path).encode(), wanted)
        if not self._model:
            raise ModelFailed(f"llama.cpp cannot load {path}: it is damaged, or of a newer version than llama.cpp.")
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        self._context = self._lib.llama_init_from_model(self._model, self._settings(context, threads))
        if not self._context:
            raise ModelFailed(f"llama.cpp cannot run {path} with a context of {context} tokens.")

    def _settings(self, context: int, threads: int) -> Any:
        settings = self._lib.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = context  # an encoder reads a text in one go
        settings.n_threads = settings.n_threads_batch = threads
        settings.embeddings = self.kind is not Kind.LANGUAGE_MODEL
        settings.no_perf = True
        return settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)

    def tokens(self, text: str) -> list[int]:
        """The ids that llama.cpp reads in a text, special tokens included."""
        said = text.encode()
        room = len(said) + 8
        buffer = (self._lib.llama_token * room)()
        count = self._lib.llama_tokenize(self._vocab, said, len(said), buffer, room, True, True)
        return list(buffer[:count])

    def labels(self) -> list[str]:
        """What the scores of a classifier stand for."""
        count = self._lib.llama_model_n_cls_out(self._model)
        return [(self._lib.llama_model_cls_label(self._model, at) or b"").decode() for at in range(count)]

    def next_token(self, ids: Sequence[int]) -> Floats:
        """Scores of every token to come next `[vocabulary]`."""
        self._read(ids)
        size = self._lib.llama_vocab_n_tokens(self._vocab)
        return np.ctypeslib.as_array(self._lib.llama_get_logits_ith(self._context, -1), (size,)).copy()

    def pooled(self, ids: Sequence[int]) -> Floats:
        """A text's vector `[width]`, or a classifier's scores `[labels]`."""
        self._read(ids)
        classifies = self.kind is Kind.CLASSIFIER
        size = self._lib.llama_model_n_cls_out(self._model) if classifies else self._lib.llama_model_n_embd(self._model)
        found = self._lib.llama_get_embeddings_seq(self._context, 0)
        if not found:
            raise ModelFailed("llama.cpp gave no vector: the file does not say how states of tokens become one.")
        return np.ctypeslib.as_array(found, (size,)).copy()

    def _read(self, ids: Sequence[int]) -> None:
        if not 0 < len(ids) <= self.context:
            raise UsageError(f"A text of {len(ids)} tokens was given, and 1 to {self.context} can be read.")
        memory = self._lib.llama_get_memory(self._context)
        if memory:
            self._lib.llama_memory_clear(memory, True)
        given = (self._lib.llama_token * len(ids))(*map(int, ids))
        failed = self._lib.llama_decode(self._context, self._lib.llama_batch_get_one(given, len(ids)))
        if failed:
            raise ModelFailed(f"llama.cpp failed on a text of {len(ids)} tokens (code {failed}).")

    def answers(self, subject: Subject, samples: Samples) -> list[Floats]:
        """What the file says of rows, in the form of `stillhouse.export.verify.answers`."""
        speak: Callable[[Sequence[int]], Floats] = self.next_token if self.kind is Kind.LANGUAGE_MODEL else self.pooled
        said = np.stack([speak(ids.tolist()) for ids in samples.ids])
        if self.kind is not Kind.EMBEDDING:
            return shares(said, subject.fields)
        if open_stack(subject.folder).normalised:
            said /= np.linalg.norm(said, axis=1, keepdims=True).clip(1e-12)
        return [said]


def read_alike(runtime: LlamaRuntime, tokenizer: Path, texts: Sequence[str]) -> list[str]:
    """The texts that llama.cpp reads otherwise than the student's tokenizer."""
    own = Tokenizer.from_file(str(tokenizer))
    own.no_truncation()
    own.no_padding()
    return [text for text in texts if runtime.tokens(text) != own.encode(text).ids]


def verify_in_llama(subject: Subject, path: Path, samples: Samples) -> Parity:
    """Compare a file with the student it came from, in llama.cpp; raises ExportMismatch where texts are read otherwise.

    Answers are compared on the ids that the student reads; how llama.cpp reads the texts themselves is counted too.
    """
    context = max(8, *(len(ids) for ids in samples.ids))
    with LlamaRuntime(path, subject.kind, context) as runtime:
        said = runtime.answers(subject, samples)
        unlike = read_alike(runtime, subject.tokenizer, samples.texts) if subject.tokenizer and samples.texts else []
    if len(unlike) > max(FEW, (1 - READ) * len(samples.texts)):
        raise ExportMismatch(
            f"llama.cpp reads {len(unlike)} of {len(samples.texts)} texts as other tokens than the student's tokenizer "
            f"does, such as {unlike[0][:80]!r}."
        )
    expected = answers(subject, samples)
    return compare_vectors(expected[0], said[0]) if subject.kind is Kind.EMBEDDING else compare(expected, said)
