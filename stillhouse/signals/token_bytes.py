"""TokenBytes: the bytes that each id of a tokenizer writes, and the ids that two tokenizers share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from stillhouse.errors import UsageError

__all__ = ["Integers", "TokenBytes", "read_token_bytes", "shared_vocabulary"]

Integers = npt.NDArray[np.int64]
_SPACE = "\u2581"
"""What SentencePiece writes for a space."""
_BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")
"""What SentencePiece falls back to for a character it does not know."""


@final
@dataclass(frozen=True, eq=False)
class TokenBytes:
    """What each id writes: `pieces[id]`, laid end to end in `flat`; special ids write only where a text names them.

    `widths` and `starts` are `[ids]`: how many bytes, and where in `flat`. `known` `[ids]` is False for an id whose
    bytes cannot be told from it alone (an unknown token, a WordPiece, a gap in the vocabulary).
    """

    pieces: tuple[bytes | None, ...]
    special: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    widths: Integers
    starts: Integers
    flat: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, pieces: Sequence[bytes | None], special: Collection[int] = ()) -> TokenBytes:
        """From the bytes of each id in order, None where they are not known; any library's tokenizer can give them."""
        widths = np.array([len(piece or b"") for piece in pieces], dtype=np.int64)
        marked = np.zeros(len(pieces), dtype=np.bool_)
        marked[list(special)] = True
        return cls(
            tuple(pieces),
            marked,
            np.array([piece is not None for piece in pieces], dtype=np.bool_),
            widths,
            np.cumsum(widths) - widths,
            np.frombuffer(b"".join(piece or b"" for piece in pieces), dtype=np.uint8),
        )


def read_token_bytes(tokenizer: Tokenizer) -> TokenBytes:
    """The bytes of each id, from a byte-level, SentencePiece-like (U+2581, `<0x0A>`) or plain vocabulary.

    WordPiece and vocabularies that mark the end of words lose the spaces: of these only added tokens are known,
    and their texts are placed by offsets instead.
    """
    whole = json.loads(tokenizer.to_str())
    spell = _speller(whole)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    pieces: list[bytes | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    for token, index in vocabulary.items():
        pieces[index] = spell(token)
    added = tokenizer.get_added_tokens_decoder()
    for index, token in added.items():
        pieces[index] = token.content.encode()
    for index in _unknown(whole["model"], vocabulary):
        pieces[index] = None
    return TokenBytes.of(pieces, [index for index, token in added.items() if token.special])


def shared_vocabulary(left: TokenBytes, right: TokenBytes) -> tuple[Integers, Integers]:
    """The ids of both that write the same bytes, `[shared]` each and in the order of the left ids.

    Special ids are left out: their names say nothing about what they mean. Of several ids of one side that write the
    same bytes the last counts: the piece rather than the byte it falls back to, the added token rather than the
    piece. Raises UsageError where one side tells no bytes at all.
    """
    mine, its = _by_bytes(left), _by_bytes(right)
    for side, found in (("left", mine), ("right", its)):
        if not found:
            raise UsageError(
                f"The {side} tokenizer does not tell the bytes of its tokens (WordPiece and the like do not). "
                "Compare the two by sorted probabilities or chunk likelihoods, which need no shared vocabulary."
            )
    pairs = sorted((index, its[piece]) for piece, index in mine.items() if piece in its)
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _by_bytes(vocabulary: TokenBytes) -> dict[bytes, int]:
    special = vocabulary.special.tolist()
    return {piece: index for index, piece in enumerate(vocabulary.pieces) if piece and not special[index]}


def _speller(whole: dict[str, Any]) -> Callable[[str], bytes | None]:
    """How to read the bytes of a token of this vocabulary."""
    model = whole["model"]
    around = json.dumps([whole.get(part) for part in ("normalizer", "pre_tokenizer", "decoder")], ensure_ascii=False)
    if '"ByteLevel"' in around:
        return _byte_level
    if model.get("type") == "WordPiece" or model.get("end_of_word_suffix") or model.get("continuing_subword_prefix"):
        return _untold
    fallback = bool(model.get("byte_fallback")) or '"ByteFallback"' in around
    return _sentence_piece(_SPACE in around, fallback)


def _untold(token: str) -> None:
    """Spaces around the token are lost: its bytes cannot be told."""


def _sentence_piece(spaces: bool, fallback: bool) -> Callable[[str], bytes]:
    def spell(token: str) -> bytes:
        byte = _BYTE.fullmatch(token) if fallback else None
        if byte:
            return bytes([int(byte[1], 16)])
        return (token.replace(_SPACE, " ") if spaces else token).encode()

    return spell


def _letters() -> dict[int, int]:
    """The byte that each character of a byte-level vocabulary stands for: printable Latin-1 itself, then the rest."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    return {byte: byte for byte in printable} | {256 + place: byte for place, byte in enumerate(others)}


_LETTERS = _letters()


def _byte_level(token: str) -> bytes:
    if all(ord(letter) in _LETTERS for letter in token):
        return token.translate(_LETTERS).encode("latin-1")
    return token.encode()


def _unknown(model: dict[str, Any], vocabulary: dict[str, int]) -> list[int]:
    """The id that stands for what cannot be read, if there is one."""
    if model.get("unk_id") is not None:
        return [model["unk_id"]]
    return [vocabulary[model["unk_token"]]] if model.get("unk_token") in vocabulary else []
