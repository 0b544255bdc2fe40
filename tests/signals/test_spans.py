"""Tokens are found where they lie in the bytes of their text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.signals.spans import Spans, spans_of_encodings, spans_of_ids, spans_of_offsets
from stillhouse.signals.token_bytes import TokenBytes, read_token_bytes
from tests.signals.readers import TEXTS, byte_level, readers

EVERY = {name: (tokenizer, read_token_bytes(tokenizer)) for name, tokenizer in readers().items()}
every_reader = pytest.mark.parametrize("name", EVERY)
every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
any_text = st.text(max_size=30) | st.lists(
    st.sampled_from(["the", " dog", "\r\n", "  ", "你好", "👩‍👩‍👧", "é", "e\u0301", "ﬁ", "<s>", "\x00", "x"]),
    max_size=12,
).map("".join)


def spans(name: str, *texts: str) -> Spans:
    tokenizer, vocabulary = EVERY[name]
    return spans_of_encodings(vocabulary, tokenizer.encode_batch(list(texts)), texts)


def pairs(side: Spans, row: int = 0) -> list[tuple[int, int]]:
    return list(zip(side.starts[row].tolist(), side.ends[row].tolist(), strict=True))


def one_row(*places: tuple[int, int]) -> Spans:
    both = np.array(places, dtype=np.int64).reshape(1, -1, 2)
    return Spans(both[..., 0], both[..., 1])


@every_reader
@every_text
def test_tokens_lie_end_to_end_from_the_beginning_of_the_text(name, text):
    inside = [place for place in pairs(spans(name, text)) if place != (-1, -1)]
    edges = [0, *(end for _, end in inside)]
    assert [start for start, _ in inside] == edges[:-1]
    assert edges[-1] <= len(text.encode())
    assert text.encode()[edges[-1] :].decode().isspace() or edges[-1] == len(text.encode())


@settings(max_examples=150, deadline=None)
@given(any_text, st.sampled_from(["byte-level", "byte-level, fewer merges", "byte-level with ends"]))
def test_byte_level_tokens_write_the_bytes_they_lie_on(text, name):
    tokenizer, vocabulary = EVERY[name]
    ids = tokenizer.encode(text).ids
    for index, (start, end) in zip(ids, pairs(spans(name, text)), strict=True):
        assert text.encode()[start:end] == (vocabulary.pieces[index] if start >= 0 else b"")


@settings(max_examples=300, deadline=None)
@given(any_text, st.sampled_from(sorted(EVERY)))
def test_any_text_is_placed_by_any_reader(text, name):
    side = spans(name, text)
    assert side.ends.max(initial=-1) <= len(text.encode())


def test_characters_are_parted_where_tokens_part_them():
    text = "👩‍🚀"
    inner = {end for start, end in pairs(spans("byte-level", text)) if start >= 0} - {len(text.encode())}
    whole = {len(text[:count].encode()) for count in range(len(text))}
    assert inner - whole, "a token ends inside a character of several bytes"


def test_special_tokens_lie_outside_unless_the_text_names_them():
    assert pairs(spans("byte-level with ends", "")) == [(-1, -1), (-1, -1)]
    placed = pairs(spans("byte-level with ends", "x<s>"))
    assert placed == [(-1, -1), (0, 1), (1, 4), (-1, -1)]


def test_an_added_space_takes_no_bytes():
    plain, added = (spans(name, "the dog") for name in ("byte-level", "byte-level with an added space"))
    assert pairs(added)[0][0] == 0
    assert added.ends.max() == plain.ends.max() == 7
    assert pairs(spans("SentencePiece", "你"))[0] == (0, 0), "a mark of a space that is not there"


def test_word_pieces_own_the_spaces_before_them():
    tokenizer, _ = EVERY["WordPiece"]
    text = "The  dog."
    assert tokenizer.encode(text).tokens == ["[CLS]", "the", "dog", ".", "[SEP]"]
    assert pairs(spans("WordPiece", text)) == [(-1, -1), (0, 3), (3, 8), (8, 9), (-1, -1)]


def test_what_a_normaliser_dropped_belongs_to_the_token_before_and_whitespace_to_the_one_after():
    text = "cafe\u0301 x"
    ends = {end for _, end in pairs(spans("byte-level over NFC", text))}
    assert 4 not in ends, "the accent stays with its letter"
    assert 6 in ends
    crlf = pairs(spans("byte-level without CR", "x\r\nx"))
    assert crlf == [(0, 1), (1, 3), (3, 4)]


def test_tokens_that_share_a_character_are_not_parted():
    tokenizer, vocabulary = EVERY["unigram over NFKC"]
    encoding = tokenizer.encode("①ﬁ")
    assert len(encoding.tokens) > 2
    ends = set(spans_of_encodings(vocabulary, [encoding], ["①ﬁ"]).ends[0].tolist())
    assert ends <= {0, 3, 6}
    assert 6 in ends


def test_trimmed_offsets_lose_no_space():
    text = "   the dog  sleeps   over  "
    trimmed, vocabulary = EVERY["byte-level, trimmed offsets"]
    foreign = TokenBytes.of([None] * len(vocabulary.pieces))
    by_offsets = spans_of_encodings(foreign, [trimmed.encode(text)], [text])
    by_bytes = spans_of_encodings(vocabulary, [trimmed.encode(text)], [text])
    assert pairs(by_offsets)[:-1] == pairs(by_bytes)[:-1]


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="the dogx,.\r\n", max_size=25))
def test_offsets_and_bytes_agree_where_characters_are_bytes(text):
    tokenizer, vocabulary = EVERY["byte-level"]
    foreign = TokenBytes.of([None] * len(vocabulary.pieces))
    assert pairs(spans_of_encodings(foreign, [tokenizer.encode(text)], [text])) == pairs(spans("byte-level", text))


@every_reader
@pytest.mark.parametrize("direction", ["left", "right"])
def test_texts_cut_short_keep_the_places_of_what_is_left(name, direction):
    tokenizer, vocabulary = EVERY[name]
    short = type(tokenizer).from_str(tokenizer.to_str())
    short.enable_truncation(9, direction=direction)
    text = "the quick brown fox jumps over the parcel 你好 and the lazy dog"
    whole = [place for place in pairs(spans(name, text)) if place[0] >= 0]
    part = [place for place in pairs(spans_of_encodings(vocabulary, [short.encode(text)], [text])) if place[0] >= 0]
    expected = whole[: len(part)] if direction == "right" else whole[-len(part) :]
    assert part[2:] == expected[2:]
    assert part[0][0] >= expected[0][0]
    assert part[1][1] == expected[1][1]


def test_padding_lies_outside_on_either_side():
    for direction in ("left", "right"):
        tokenizer = byte_level(290)
        tokenizer.enable_padding(direction=direction, pad_id=3, pad_token="<pad>", length=8)
        placed = pairs(spans_of_encodings(EVERY["byte-level"][1], [tokenizer.encode("x x")], ["x x"]))
        inside = [place for place in placed if place[0] >= 0]
        assert inside == [(0, 1), (1, 2), (2, 3)]
        assert placed[:3] == inside if direction == "right" else placed[-3:] == inside


def test_shorter_rows_are_filled_up():
    side = spans("byte-level", "x", "", "x x")
    assert side.ends.tolist() == [[1, -1, -1], [-1, -1, -1], [1, 2, 3]]


@settings(max_examples=60, deadline=None)
@given(any_text)
def test_ids_alone_place_a_text_as_its_encoding_does(text):
    tokenizer, vocabulary = EVERY["byte-level"]
    ids = tokenizer.encode(text).ids
    if not vocabulary.special[ids].any():
        assert pairs(spans_of_ids(vocabulary, [ids], [text])) == pairs(spans("byte-level", text))


def test_ids_need_not_be_the_tokenizers_own_choice():
    tokenizer, vocabulary = EVERY["byte-level"]
    ids = [tokenizer.token_to_id(letter) for letter in "the"]
    assert len(tokenizer.encode("the").ids) < 3
    assert pairs(spans_of_ids(vocabulary, [ids], ["the dog"])) == [(0, 1), (1, 2), (2, 3)], "a beginning will do"


def test_ids_of_a_template_write_the_names_of_special_tokens():
    tokenizer, vocabulary = EVERY["byte-level with ends"]
    text = "<s>x</s>"
    ids = [*tokenizer.encode(text, add_special_tokens=False).ids, 3]
    placed = spans_of_ids(vocabulary, [ids], [text], outside=[np.array([False, False, False, True])])
    assert pairs(placed) == [(0, 3), (3, 4), (4, 8), (-1, -1)]


def test_ids_that_write_another_text_are_refused_or_left_out():
    tokenizer, vocabulary = EVERY["byte-level"]
    rows = [tokenizer.encode("x").ids, tokenizer.encode("the dog").ids]
    with pytest.raises(UsageError, match="Row 1: the ids do not write its text 'the cat'"):
        spans_of_ids(vocabulary, rows, ["x", "the cat"])
    side = spans_of_ids(vocabulary, rows, ["x", "the cat"], strict=False)
    assert pairs(side)[0] == (0, 1)
    assert (side.ends[1] == -1).all()


def test_unknown_ids_and_foreign_vocabularies_are_refused():
    vocabulary = TokenBytes.of([b"x", None])
    with pytest.raises(UsageError, match="Row 0"):
        spans_of_ids(vocabulary, [[0, 1]], ["x"])
    with pytest.raises(UsageError, match="Ids from 0 to 2 are not of this vocabulary of 2"):
        spans_of_ids(vocabulary, [[0, 2]], ["x"])


def test_encodings_without_offsets_are_refused_when_bytes_do_not_tell():
    tokenizer, vocabulary = EVERY["WordPiece"]
    with pytest.raises(UsageError, match="encode_batch_fast"):
        spans_of_encodings(vocabulary, tokenizer.encode_batch_fast(["the dog"]), ["the dog"])


def test_pairs_and_wrong_texts_are_refused():
    tokenizer, vocabulary = EVERY["WordPiece"]
    with pytest.raises(UsageError, match="pair of texts"):
        spans_of_encodings(vocabulary, [tokenizer.encode("the", "dog")], ["the dog"])
    with pytest.raises(UsageError, match="1 rows and 2 texts"):
        spans_of_encodings(vocabulary, [tokenizer.encode("the")], ["the", "dog"])
    with pytest.raises(UsageError, match="Offsets reach outside"):
        spans_of_encodings(vocabulary, [tokenizer.encode("the quick dog")], ["the"])


def test_offsets_from_elsewhere():
    places = np.array([[0, 0], [0, 3], [4, 7], [4, 7], [7, 8], [0, 0]])
    outside = np.array([True, False, False, False, False, True])
    side = spans_of_offsets([places], ["the dög."], [outside])
    assert pairs(side) == [(-1, -1), (0, 3), (3, 3), (3, 8), (8, 9), (-1, -1)]


def test_spans_that_do_not_lie_end_to_end_are_refused():
    with pytest.raises(UsageError, match="end to end"):
        one_row((0, 3), (4, 7))
    with pytest.raises(UsageError, match="end to end"):
        one_row((0, 3), (2, 7))
    with pytest.raises(UsageError, match="one shape"):
        Spans(np.zeros((1, 2), dtype=np.int64), np.zeros((1, 3), dtype=np.int64))


def test_a_window_counts_from_its_beginning():
    side = one_row((-1, -1), (0, 5), (5, 8), (8, 12), (12, 20))
    assert pairs(side.window(np.array([5]), np.array([12]))) == [(-1, -1), (-1, -1), (0, 3), (3, 7), (-1, -1)]
    assert pairs(side.window(np.array([6]), np.array([13]))) == [(-1, -1), (-1, -1), (-1, -1), (2, 6), (-1, -1)]


def test_the_closing_token_gets_one_byte_after_the_text():
    side = Spans(
        np.array([[-1, 0, 3, -1, -1], [-1, 0, -1, -1, -1]]), np.array([[-1, 3, 4, -1, -1], [-1, 2, -1, -1, -1]])
    )
    ids = np.array([[9, 5, 6, 9, 9], [9, 5, 7, 9, 9]])
    closed = side.closed(ids, 9, np.array([4, 2]))
    assert pairs(closed) == [(-1, -1), (0, 3), (3, 4), (4, 5), (-1, -1)]
    assert pairs(closed, 1) == [(-1, -1), (0, 2), (-1, -1), (2, 3), (-1, -1)]


def test_a_text_cut_short_has_no_closing_token():
    side = one_row((0, 3), (-1, -1))
    assert pairs(side.closed(np.array([[5, 9]]), 9, np.array([4]))) == [(0, 3), (-1, -1)]
