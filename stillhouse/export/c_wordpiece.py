"""A WordPiece tokenizer as tables for C: sorted pieces, special tokens, and what each character becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
from tokenizers import normalizers, pre_tokenizers

from stillhouse.errors import UsageError
from stillhouse.export.c_unicode import every_character, packed_set

__all__ = ["WordPiece", "read_wordpiece"]

APART = "|"
"""Stands between characters that are normalised together; itself it is one that nothing else becomes."""
NOTHING = "\ufffd"
"""What a character becomes that the vocabulary names but the normaliser never gives."""
HANGUL = range(0xAC00, 0xD7A4)
LEFT_OPEN = (
    "Stillhouse writes WordPiece with BertNormalizer, as MiniLM and BERT have it, into C. Choose the student `words`."
)


@final
@dataclass(frozen=True)
class WordPiece:
    """A tokenizer for C: its pieces in the order of their rows, and the arrays that reading needs."""

    order: tuple[int, ...]
    """The old id of each row: first pieces that begin words, then pieces within words, then whatever else there is."""
    macros: Mapping[str, str | int]
    arrays: Mapping[str, npt.NDArray[Any]]


def read_wordpiece(spec: Mapping[str, Any], longest: int) -> WordPiece:
    """The tables of a `tokenizer.json`; texts of more than `longest` tokens lose their beginning.

    Raises UsageError, with what is in the way, where the tokenizer is of another kind.
    """
    model = spec["model"]
    _check(spec, model)
    vocabulary: dict[str, int] = model["vocab"]
    prefix = model["continuing_subword_prefix"]
    begins = sorted((token.encode(), index) for token, index in vocabulary.items() if not token.startswith(prefix))
    inside = sorted(
        (token.removeprefix(prefix).encode(), index)
        for token, index in vocabulary.items()
        if token.startswith(prefix) and token != prefix
    )
    special = {token["content"]: token["id"] for token in spec["added_tokens"]}
    pieces = [*begins, *inside]
    found = {index for _, index in pieces}
    order = (*(index for _, index in pieces), *sorted({*vocabulary.values(), *special.values()} - found))
    row = {index: at for at, index in enumerate(order)}
    added = _added(spec.get("post_processor"))
    if longest <= len(added):
        raise UsageError(f"Of {longest} tokens the tokenizer itself adds {len(added)}, so no text is left to read.")
    characters = _characters(spec, {letter for piece, _ in pieces for letter in piece.decode()})
    return WordPiece(
        order,
        {
            "STATIC_FIRST": len(begins),
            "STATIC_PIECES": len(pieces),
            "STATIC_UNKNOWN": row[vocabulary[model["unk_token"]]],
            "STATIC_EMPTY": row.get(0, 0),
            "STATIC_LETTERS": model["max_input_chars_per_word"],
            "STATIC_LONGEST": longest - len(added),
            "STATIC_ADDED": len(added),
            "STATIC_SPECIAL": len(special),
            "UNICODE_MAPPED": len(characters["unicode_from"]),
            **({"UNICODE_HANGUL": ""} if _splits_hangul(spec) else {}),
        },
        {
            **_blob("piece", [piece for piece, _ in pieces]),
            **_blob("special", [token.encode() for token in special]),
            "special_rows": np.asarray([row[index] for index in special.values()], dtype=np.uint32),
            "static_added": np.asarray([row[index] for index in added], dtype=np.uint32),
            **characters,
        },
    )


def _check(spec: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Refuse whatever reads otherwise than the C code does."""
    kinds = [model.get("type") or "WordPiece"]
    kinds += [(spec.get(part) or {}).get("type", "none") for part in ("normalizer", "pre_tokenizer")]
    if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
        raise UsageError(f"This student reads by a tokenizer of {', '.join(kinds)}. {LEFT_OPEN}")
    if not model.get("continuing_subword_prefix") or model.get("unk_token") not in model["vocab"]:
        raise UsageError(f"This tokenizer has no mark for pieces within words, or no unknown token. {LEFT_OPEN}")
    for token in spec["added_tokens"]:
        if token["normalized"] or token["single_word"] or token["lstrip"] or token["rstrip"]:
            raise UsageError(
                f"The added token {token['content']!r} is found by rules that C does not know. {LEFT_OPEN}"
            )


def _added(post: Mapping[str, Any] | None) -> list[int]:
    """The ids that the tokenizer adds to every text."""
    if post is None:
        return []
    if post["type"] == "BertProcessing":
        return [post["cls"][1], post["sep"][1]]
    if post["type"] != "TemplateProcessing":
        raise UsageError(f"The tokenizer's {post['type']} is not one that C knows. {LEFT_OPEN}")
    names = [part["SpecialToken"]["id"] for part in post["single"] if "SpecialToken" in part]
    return [index for name in names for index in post["special_tokens"][name]["ids"]]


def _blob(name: str, texts: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Texts one after the other, and where each begins."""
    starts = np.cumsum([0, *map(len, texts)]).astype(np.uint32)
    if starts[-1] < 2**16:
        starts = starts.astype(np.uint16)
    return {f"{name}_bytes": np.frombuffer(b"".join(texts) or b"\0", dtype=np.uint8), f"{name}_starts": starts}


def _normaliser(spec: Mapping[str, Any]) -> normalizers.BertNormalizer:
    given = spec["normalizer"]
    return normalizers.BertNormalizer(
        given["clean_text"], given["handle_chinese_chars"], given["strip_accents"], given["lowercase"]
    )


def _splits_hangul(spec: Mapping[str, Any]) -> bool:
    return len(_normaliser(spec).normalize_str(chr(HANGUL[0]))) > 1


@final
@dataclass(frozen=True)
class _Script:
    """What each character becomes by a normaliser, and which characters part words."""

    became: Mapping[str, str]
    spaces: frozenset[str]
    alone: frozenset[str]
    """Each of these is a word by itself."""


def _characters(spec: Mapping[str, Any], alphabet: set[str]) -> dict[str, npt.NDArray[Any]]:
    """Tables of what each character becomes. Letters that no piece has are all alike: their word is unknown."""
    script = _script(_normaliser(spec), without=frozenset(map(chr, HANGUL)) if _splits_hangul(spec) else frozenset())
    dropped, spaces, alone = set[str](), set(script.spaces), set(script.alone)
    mapped: dict[str, str] = {}
    for c, text in script.became.items():
        core = [letter for letter in text if letter not in script.spaces]
        if not text:
            dropped.add(c)
        elif not core:
            spaces.add(c)
        elif core == [c]:
            alone |= {c} if text != c else set()
        elif all(letter in alphabet or letter in script.alone for letter in core):
            mapped[c] = text
        elif len(text) > len(core) and c not in alphabet:
            alone.add(c)
        elif c in alphabet:
            mapped[c] = text.replace("".join(core), NOTHING)
    return {
        "unicode_dropped": packed_set(dropped),
        "unicode_spaces": packed_set(spaces),
        "unicode_alone": packed_set(alone),
        **_mapping(mapped),
    }


def _script(normaliser: normalizers.BertNormalizer, without: frozenset[str]) -> _Script:
    """Everything about characters that this tokenizer's own code says."""
    every = [c for c in every_character() if _may_be_there(c) and c != APART and c not in without]
    texts = normaliser.normalize_str(APART.join(every)).split(APART)
    became = dict(zip(every, texts, strict=True)) | {APART: APART}
    letters = sorted({letter for text in texts for letter in text} | {APART})
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(" ".join(f"a{letter}a" for letter in letters))
    counts = np.bincount([start // 4 for _, (start, _) in words], minlength=len(letters)).tolist()
    kinds = dict(zip(letters, counts, strict=True))  # one word "aca", two words "a" and "a", or three
    spaces, alone = (frozenset(letter for letter, count in kinds.items() if count == size) for size in (2, 3))
    return _Script(became, spaces, alone)


def _may_be_there(c: str) -> bool:
    """Whether a character lies outside the planes that Unicode has left empty (4 to 13, most of 3 and of 14)."""
    return ord(c) < 0x32400 or 0xE0000 <= ord(c) < 0xE1000 or ord(c) >= 0xEFFFE


def _mapping(mapped: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
    """Characters in order, and where in `unicode_to` lies what each becomes."""
    targets = sorted(set(mapped.values()))
    lengths = {text: len(text.encode()) for text in targets}
    starts = dict(zip(targets, np.cumsum([0, *lengths.values()]).tolist(), strict=False))
    codes = sorted(map(ord, mapped))
    kind = np.uint16 if not codes or codes[-1] < 2**16 else np.uint32
    to = [mapped[chr(code)] for code in codes]
    return {
        "unicode_from": np.asarray(codes, dtype=kind),
        "unicode_at": np.asarray([starts[text] for text in to], dtype=np.uint32),
        "unicode_lengths": np.asarray([lengths[text] for text in to], dtype=np.uint8),
        "unicode_to": np.frombuffer("".join(targets).encode(), dtype=np.uint8),
    }
