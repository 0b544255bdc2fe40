"""What the ids of a vocabulary write, and which ids two vocabularies share."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models

from stillhouse.errors import UsageError
from stillhouse.signals.token_bytes import TokenBytes, read_token_bytes, shared_vocabulary
from tests.signals.readers import readers


def written(name: str, token: str) -> bytes | None:
    tokenizer = readers()[name]
    return read_token_bytes(tokenizer).pieces[tokenizer.token_to_id(token)]


def test_byte_level_letters_are_bytes():
    assert written("byte-level", "\u0120the") == b" the"
    assert written("byte-level", "\u010a") == b"\n"
    assert written("byte-level", "\u00e4\u00bd\u0142") == "你".encode()


@pytest.mark.parametrize("name", ["byte-level", "byte-level with ends", "SentencePiece", "unigram over NFKC"])
def test_the_bytes_of_tokens_decode_as_the_tokenizer_does(name):
    tokenizer = readers()[name]
    vocabulary = read_token_bytes(tokenizer)
    for text in ("the quick brown fox", "where is the parcel?"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert b"".join(vocabulary.pieces[index] for index in ids).decode().strip() == tokenizer.decode(ids) == text


def test_sentence_piece_has_spaces_and_single_bytes():
    assert written("SentencePiece", "\u2581the") == b" the"
    assert written("SentencePiece", "<0x0A>") == b"\n"
    assert written("SentencePiece", "<0xE4>") == b"\xe4"
    assert written("SentencePiece", "<unk>") is None


def test_special_tokens_are_known_and_marked():
    tokenizer = readers()["byte-level"]
    vocabulary = read_token_bytes(tokenizer)
    assert vocabulary.special.nonzero()[0].tolist() == [0, 1, 2, 3]
    assert vocabulary.pieces[0] == b"<s>"


def test_vocabularies_that_lose_spaces_tell_only_added_tokens():
    vocabulary = read_token_bytes(readers()["WordPiece"])
    assert vocabulary.known.nonzero()[0].tolist() == [1, 2, 3]


def test_gaps_in_a_vocabulary_are_unknown():
    vocabulary = read_token_bytes(Tokenizer(models.BPE({"a": 0, "b": 3}, [])))
    assert vocabulary.pieces == (b"a", None, None, b"b")
    assert vocabulary.known.tolist() == [True, False, False, True]


def test_flat_bytes_are_found_by_start_and_width():
    vocabulary = TokenBytes.of([b"the", None, b"", b" dog"], special=[2])
    cuts = zip(vocabulary.starts, vocabulary.widths, strict=True)
    assert [vocabulary.flat[start : start + width].tobytes() for start, width in cuts] == [b"the", b"", b"", b" dog"]
    assert vocabulary.special.tolist() == [False, False, True, False]


@pytest.mark.parametrize("other", ["byte-level, fewer merges", "SentencePiece", "unigram over NFKC"])
def test_shared_ids_write_the_same_and_nothing_is_forgotten(other):
    left, right = (read_token_bytes(readers()[name]) for name in ("byte-level", other))
    mine, its = shared_vocabulary(left, right)
    assert [left.pieces[index] for index in mine] == [right.pieces[index] for index in its]
    assert len(set(mine.tolist())) == len(set(its.tolist())) == len(mine)
    plain = [
        {piece for piece, special in zip(v.pieces, v.special, strict=True) if piece and not special}
        for v in (left, right)
    ]
    assert {left.pieces[index] for index in mine} == plain[0] & plain[1]
    assert any(piece.startswith(b" ") and len(piece) > 2 for piece in plain[0] & plain[1]) or other.startswith("byte")


def test_a_vocabulary_shares_all_but_its_special_tokens_with_itself():
    vocabulary = read_token_bytes(readers()["byte-level"])
    mine, its = shared_vocabulary(vocabulary, vocabulary)
    assert mine.tolist() == its.tolist() == list(range(4, len(vocabulary.pieces)))


def test_of_two_ids_that_write_the_same_the_piece_counts_rather_than_the_byte():
    fallback = TokenBytes.of([b"a", b"b", b" the", b"a"])
    assert shared_vocabulary(fallback, TokenBytes.of([b"a", b" the"]))[0].tolist() == [2, 3]


def test_nothing_shared_is_no_error():
    mine, its = shared_vocabulary(TokenBytes.of([b"a"]), TokenBytes.of([b"b"]))
    assert mine.shape == its.shape == (0,)


def test_a_vocabulary_that_tells_no_bytes_is_refused():
    with pytest.raises(UsageError, match="right tokenizer does not tell"):
        shared_vocabulary(TokenBytes.of([b"a"]), read_token_bytes(readers()["WordPiece"]))
