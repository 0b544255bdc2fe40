"""What a page must know to read text as training did: tables of characters, taken from Python and the tokenizer itself.

Browsers know other versions of Unicode than Python or a tokenizer does. So nothing is left to the browser that depends
on one: every character is asked here, and what differs from the plain case is written down.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from tokenizers import Tokenizer

__all__ = ["TOKENS", "Table", "character_tables", "ngram_reader", "tokenizer_reader", "tokens_read"]

Table = list[int]
"""Characters of a kind as lengths of runs, from the first character on: without, with, without, ..."""
TOKENS = 512
"""Tokens that a text classifier without a bundle reads at most, where its configuration allows more or does not say."""
AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Models that count positions from the one after the padding's, and so have two fewer."""
SYLLABLES = range(0xAC00, 0xD7A4)
"""Korean syllables: which parts each has is arithmetic, the same in every version of Unicode."""
BLOCK = 256
_EVERY = sys.maxunicode + 1
_SURROGATES = range(0xD800, 0xE000)


def character_tables() -> dict[str, Table]:
    """Letters, white space and unassigned characters, as `str` and `re` of this Python know them."""
    return {
        "word": _runs(re.compile(r"\w").match),
        "space": _runs(str.isspace),
        "unassigned": _runs(lambda character: unicodedata.category(character) == "Cn"),
    }


def tokens_read(config: Mapping[str, Any], most: int = TOKENS) -> int:
    """How many tokens a Transformers classifier reads: `most`, where it has positions for as many."""
    positions = int(config.get("max_position_embeddings") or most)
    return min(most, positions - (2 if config.get("model_type") in AFTER_PADDING else 0))


def ngram_reader(buckets: int, limit: int) -> dict[str, Any]:
    """Hashed n-grams: what `models/ngrams.py` does."""
    return {"kind": "ngrams", "buckets": buckets, "limit": limit}


def tokenizer_reader(tokenizer: Tokenizer, limit: int, keep: Literal["start", "end"]) -> dict[str, Any]:
    """A tokenizer; texts of more than `limit` ids are cut, and their start or end is kept.

    BERT's is written out (`wordpiece`); any other is left to a library in the page (`library`).
    """
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    before, after = _frame(tokenizer)
    common = {"before": before, "after": after, "limit": limit, "keep": keep}
    told: dict[str, Any] = json.loads(tokenizer.to_str())
    if not _is_bert(told):
        return {"kind": "library", **common, "tokenizer": "tokenizer.json"}
    model = told["model"]
    ids: dict[str, int] = model["vocab"]
    tokens = {index: token for token, index in ids.items()}
    plain, tables = _normalization(tokenizer)
    return {
        "kind": "wordpiece",
        **common,
        "vocabulary": [tokens.get(index, "") for index in range(max(tokens) + 1)],
        "unknown": ids[model["unk_token"]],
        "prefix": model["continuing_subword_prefix"],
        "longest": model["max_input_chars_per_word"],
        "special": [[token["content"], token["id"]] for token in told["added_tokens"]],
        "plain": plain,
        "characters": tables | _cuts(tokenizer),
    }


def _is_bert(told: dict[str, Any]) -> bool:
    """Whether a tokenizer's JSON says what `WordPieceReader` of the page does, and no more."""
    kinds = [(told.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    plain = [
        token
        for token in told.get("added_tokens", ())
        if not (token["single_word"] or token["lstrip"] or token["rstrip"] or token["normalized"])
    ]
    return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"] and len(plain) == len(told["added_tokens"])


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids before and after those of every text."""
    whole = tokenizer.encode("a").ids
    inner = tokenizer.encode("a", add_special_tokens=False).ids
    for start in range(len(whole) - len(inner) + 1):
        if whole[start : start + len(inner)] == inner:
            return whole[:start], whole[start + len(inner) :]
    raise AssertionError("a tokenizer that changes a text's own ids")


def _normalization(tokenizer: Tokenizer) -> tuple[dict[str, str], dict[str, Table]]:
    """What each character becomes where it does not stay, and tables of those that vanish or get space around them."""
    normal: Callable[[str], str] = tokenizer.normalizer.normalize_str
    plain: dict[str, str] = {}
    dropped: set[str] = set()
    apart: set[str] = set()
    syllables = normal("\uac00") != "\uac00"
    for character in _unlike(normal):
        becomes = normal(character)
        if not becomes:
            dropped.add(character)
        elif len(becomes) > 2 and becomes[0] == becomes[-1] == " ":
            apart.add(character)
            becomes = becomes[1:-1]
        if becomes not in ("", character) and not (syllables and ord(character) in SYLLABLES):
            plain[character] = becomes
    tables = {"dropped": _runs(dropped.__contains__), "apart": _runs(apart.__contains__)}
    if syllables:
        tables["syllable"] = _runs(lambda character: ord(character) in SYLLABLES)
    return plain, tables


def _cuts(tokenizer: Tokenizer) -> dict[str, Table]:
    """Where words end: characters that are white space, and those that are words of their own."""

    def pieces(text: str) -> list[str]:
        return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    space: set[str] = set()
    punctuation: set[str] = set()
    for block in _blocks():
        if len(pieces(f"a{'a'.join(block)}a")) > 1:
            for character in block:
                found = pieces(f"a{character}a")
                if len(found) > 1:
                    (space if len(found) == 2 else punctuation).add(character)
    return {"space": _runs(space.__contains__), "punctuation": _runs(punctuation.__contains__)}


def _unlike(change: Callable[[str], str]) -> Iterable[str]:
    """The characters that do not stay as they are, and perhaps others; whole blocks are asked first."""
    for block in _blocks():
        if change(block) != block:
            yield from block


def _blocks() -> Iterable[str]:
    """Every character, in blocks, without the halves of pairs."""
    for start in range(0, _EVERY, BLOCK):
        if start not in _SURROGATES:
            yield "".join(map(chr, range(start, start + BLOCK)))


def _runs(belongs: Callable[[str], Any]) -> Table:
    runs: Table = []
    held, since = False, 0
    for point in range(_EVERY):
        if bool(belongs(chr(point))) != held:
            runs.append(point - since)
            held, since = not held, point
    if held:
        runs.append(_EVERY - since)
    return runs
