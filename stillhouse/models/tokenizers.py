"""Text to the student's `input_ids`, the same in training and in serving; knows no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from stillhouse.bundle.manifest import Featurizer
from stillhouse.models.ngrams import ngram_ids

__all__ = ["Ids", "NgramReader", "Reader", "TokenizerReader", "end_read", "open_reader", "pad", "read_ids"]

Ids = npt.NDArray[np.int64]


class Reader(Protocol):
    """Turns texts into ids."""

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        """One array of ids per text, never empty."""
        ...


@final
class TokenizerReader:
    """Reads with a `tokenizer.json`; of a text longer than `max_tokens` its end or start is kept."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, keep: Literal["start", "end"] = "end") -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens, direction="left" if keep == "end" else "right")
        self.tokenizer = tokenizer

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        if len(texts) == 1:
            return [np.asarray(self.tokenizer.encode(texts[0]).ids or [0], dtype=np.int64)]
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        return [np.asarray(encoding.ids or [0], dtype=np.int64) for encoding in encodings]


@final
class NgramReader:
    """Reads hashed n-grams."""

    def __init__(self, buckets: int, limit: int) -> None:
        self.buckets, self.limit = buckets, limit

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        empty = np.zeros(1, dtype=np.int64)
        found = (ngram_ids(text, self.buckets, self.limit) for text in texts)
        return [ids if len(ids) else empty for ids in found]


def open_reader(featurizer: Featurizer, folder: Path) -> Reader:
    """The reader that a featurizer describes; `folder` holds its `tokenizer.json` if it has one."""
    if featurizer.kind == "ngrams":
        return NgramReader(featurizer.buckets, featurizer.max_tokens)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return TokenizerReader(tokenizer, featurizer.max_tokens, featurizer.keep)


def read_ids(texts: Sequence[str], tokenizer: Any, tokens: int) -> tuple[list[Ids], int]:
    """The ids of each text, at most `tokens` of the end that `end_read` names, and the id that fills short rows.

    `tokenizer` is one of Transformers, or a `tokenizers.Tokenizer`, which is left as it is.
    """
    if isinstance(tokenizer, Tokenizer):
        found, padding = _cut(list(texts), tokenizer, tokens), 0
    else:
        read = tokenizer(list(texts), truncation=True, max_length=tokens, return_attention_mask=False)
        found, padding = read["input_ids"], int(tokenizer.pad_token_id or 0)
    return [np.asarray(ids or [padding], dtype=np.int64) for ids in found], padding


def end_read(tokenizer: Any) -> Literal["start", "end"]:
    """Which end of long texts `read_ids` keeps: the start, unless a tokenizer of Transformers was told otherwise."""
    return "end" if getattr(tokenizer, "truncation_side", "right") == "left" else "start"


def _cut(texts: list[str], tokenizer: Tokenizer, tokens: int) -> list[list[int]]:
    """The ids of each text; only where some are too long, or a setting is in the way, is the tokenizer copied."""
    plain = tokenizer.padding is None and tokenizer.truncation is None
    found = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)] if plain else []
    again = [at for at in range(len(texts)) if not plain or len(found[at]) > tokens]
    if again:
        own = Tokenizer.from_str(tokenizer.to_str())
        own.no_padding()
        own.enable_truncation(tokens)
        cut = dict(zip(again, own.encode_batch_fast([texts[at] for at in again]), strict=True))
        found = [cut[at].ids if at in cut else found[at] for at in range(len(texts))]
    return found


def pad(rows: Sequence[Ids], multiple: int = 1, padding: int = 0) -> tuple[Ids, Ids]:
    """Ids and attention mask, both `[rows, tokens]`, filled with `padding` to the longest row, or the next multiple."""
    longest = -(-max(map(len, rows)) // multiple) * multiple
    ids = np.full((len(rows), longest), padding, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask
