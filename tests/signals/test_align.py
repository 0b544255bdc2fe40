"""Two tokenizations of one text fall into the smallest chunks that both can be cut into."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.signals.align import Alignment, align
from stillhouse.signals.spans import Spans, spans_of_encodings
from stillhouse.signals.token_bytes import read_token_bytes
from tests.signals.readers import TEXTS, readers
from tests.signals.test_spans import any_text

EVERY = {name: (tokenizer, read_token_bytes(tokenizer)) for name, tokenizer in readers().items()}
PAIRS = list(product(["byte-level", "SentencePiece", "WordPiece"], EVERY))


def side(name: str, *texts: str) -> Spans:
    tokenizer, vocabulary = EVERY[name]
    return spans_of_encodings(vocabulary, tokenizer.encode_batch(list(texts)), texts)


def row_of(*ends: int, start: int = 0, outside: int = 0) -> Spans:
    """One row of tokens that end there, after some that lie outside."""
    edges = np.array([start, *ends], dtype=np.int64)
    out = np.full(outside, -1, dtype=np.int64)
    return Spans(np.concatenate([out, edges[:-1]])[None], np.concatenate([out, edges[1:]])[None])


def edges_of(spans: Spans, row: int) -> set[int]:
    inside = spans.starts[row] >= 0
    return {*spans.starts[row][inside].tolist(), *spans.ends[row][inside].tolist()}


def check(left: Spans, right: Spans, found: Alignment) -> None:
    """Everything an alignment promises, by the simplest means."""
    for row in range(len(left.starts)):
        cuts = sorted(edges_of(left, row) & edges_of(right, row))
        expected = list(pairwise(cuts))
        spans = found.spans[row][: found.counts[row]].tolist()
        assert [tuple(span) for span in spans] == expected, "cut wherever both have a boundary, and nowhere else"
        assert (found.spans[row][found.counts[row] :] == -1).all()
        for spans_of_side, chunks in ((left, found.left), (right, found.right)):
            for start, end, chunk in zip(spans_of_side.starts[row], spans_of_side.ends[row], chunks[row], strict=True):
                holding = [index for index, (low, high) in enumerate(expected) if low <= start < high and start >= 0]
                assert [chunk] == (holding or [-1])
                assert not holding or end <= expected[chunk][1]
            inside = chunks[row][chunks[row] >= 0]
            assert (np.diff(inside) >= 0).all()
            assert set(inside.tolist()) == set(range(len(expected))), "every chunk has tokens of both sides"


@pytest.mark.parametrize("pair", PAIRS, ids=" | ".join)
def test_every_pair_of_readers_on_every_text(pair):
    texts = list(TEXTS.values())
    left, right = (side(name, *texts) for name in pair)
    found = align(left, right)
    check(left, right, found)
    for row, text in enumerate(texts):
        covered = b"".join(text.encode()[start:end] for start, end in found.spans[row][: found.counts[row]])
        both = min(left.ends[row].max(initial=0), right.ends[row].max(initial=0))
        assert text.encode().startswith(covered)
        assert text.encode()[len(covered) : max(both, 0)].strip() == b""


@settings(max_examples=200, deadline=None)
@given(st.lists(any_text, min_size=1, max_size=3), st.sampled_from(sorted(EVERY)), st.sampled_from(sorted(EVERY)))
def test_any_texts_of_any_two_readers(texts, mine, its):
    left, right = side(mine, *texts), side(its, *texts)
    check(left, right, align(left, right))


@settings(max_examples=150, deadline=None)
@given(any_text, st.sampled_from(["byte-level with ends", "byte-level, fewer merges", "SentencePiece with BOS"]))
def test_chunks_of_byte_exact_readers_are_the_text(text, name):
    spans = align(side("byte-level", text), side(name, text)).spans[0]
    if name.startswith("byte-level") or "<s>" not in text:  # the added space comes again after a special token
        assert b"".join(text.encode()[start:end] for start, end in spans) == text.encode()


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_equal_tokenizers_have_one_token_a_chunk(text):
    found = align(side("byte-level", text), side("byte-level", text))
    count = int(found.counts[0])
    assert found.left.tolist() == found.right.tolist() == [list(range(count))]
    rows, left, right = found.singles()
    assert rows.tolist() == [0] * count
    assert left.tolist() == right.tolist() == list(range(count))


@settings(max_examples=100, deadline=None)
@given(any_text, st.sampled_from(sorted(EVERY)), st.sampled_from(sorted(EVERY)))
def test_sides_may_be_swapped(text, mine, its):
    one, other = align(side(mine, text), side(its, text)), align(side(its, text), side(mine, text))
    assert one.left.tolist() == other.right.tolist()
    assert one.spans.tolist() == other.spans.tolist()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_cuts_of_any_two_sides(data):
    """Spans that no tokenizer made: they begin and end anywhere, with tokens of no width and tokens outside."""

    def any_row() -> Spans:
        edges = sorted(data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=9)))
        return row_of(*edges[1:], start=edges[0], outside=data.draw(st.integers(0, 2)))

    left, right = any_row(), any_row()
    check(left, right, align(left, right))


def test_many_tokens_against_one():
    found = align(row_of(1, 2, 3, 7), row_of(3, 5, 7))
    assert found.left.tolist() == [[0, 0, 0, 1]]
    assert found.right.tolist() == [[0, 1, 1]]
    assert found.spans.tolist() == [[[0, 3], [3, 7]]]


def test_bos_on_one_side_only_belongs_to_no_chunk():
    text = "the dog sleeps"
    plain, ends = side("byte-level, fewer merges", text), side("byte-level with ends", text)
    found = align(plain, ends)
    assert found.right[0, 0] == found.right[0, -1] == -1
    assert found.left.tolist() == found.right[:, 1:-1].tolist()


def test_closing_tokens_are_a_chunk_of_their_own():
    text = "the dog sleeps"
    sizes = np.array([len(text)])
    left, right = side("byte-level with ends", text), side("byte-level with ends", text)
    ids = np.array([EVERY["byte-level with ends"][0].encode(text).ids])
    found = align(left.closed(ids, 1, sizes), right.closed(ids, 1, sizes))
    assert found.spans[0, -1].tolist() == [len(text), len(text) + 1]
    assert found.left[0, -1] == found.counts[0] - 1


def test_a_chunk_may_end_inside_a_character():
    text = "👩‍🚀"
    found = align(side("byte-level", text), side("byte-level, fewer merges", text))
    whole = {len(text[:count].encode()) for count in range(len(text) + 1)}
    assert set(found.spans[0][: found.counts[0], 1].tolist()) - whole


def test_carriage_returns_that_one_side_drops_stay_with_the_line_end():
    text = "two lines\r\nof parcels"
    found = align(side("byte-level", text), side("byte-level without CR", text))
    assert [9, 11] in found.spans[0].tolist()


def test_an_added_space_moves_nothing():
    text = "the dog sleeps"
    found = align(side("byte-level", text), side("byte-level with an added space", text))
    assert [text[start:end] for start, end in found.spans[0]][:2] == ["the", " dog"]


def test_words_are_found_without_their_spaces():
    text = "The  dog sleeps "
    found = align(side("byte-level", text), side("WordPiece", text))
    assert [text[start:end] for start, end in found.spans[0]] == ["The", "  dog", " slee", "ps"]
    assert found.left[0, -1] == -1, "the space at the end is the left side's alone"


def test_where_one_side_was_cut_short_there_are_no_chunks():
    found = align(row_of(2, 5, 8, 11), row_of(5, 8, start=2))
    assert found.left.tolist() == [[-1, 0, 1, -1]]
    assert found.right.tolist() == [[0, 1]]
    straddled = align(row_of(3, 5, 8), row_of(5, 8, start=2))
    assert straddled.left.tolist() == [[-1, -1, 0]]
    assert straddled.right.tolist() == [[-1, 0]]


def test_rows_do_not_touch_each_other():
    texts = list(TEXTS.values())
    together = align(side("byte-level", *texts), side("SentencePiece with BOS", *texts))
    for row, text in enumerate(texts):
        alone = align(side("byte-level", text), side("SentencePiece with BOS", text))
        count = alone.left.shape[1]
        assert together.left[row, :count].tolist() == alone.left[0].tolist()
        assert (together.left[row, count:] == -1).all()
        assert together.spans[row, : alone.chunks].tolist() == alone.spans[0].tolist()


def test_no_rows_and_empty_texts():
    nothing = Spans(np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0), dtype=np.int64))
    assert align(nothing, nothing).spans.shape == (0, 0, 2)
    empty = align(side("byte-level with ends", ""), side("WordPiece", ""))
    assert empty.counts.tolist() == [0]
    assert empty.left.tolist() == empty.right.tolist() == [[-1, -1]]
    assert [part.tolist() for part in empty.singles()] == [[], [], []]


def test_singles_are_chunks_with_one_token_on_each_side():
    left = Spans(np.array([[0, 1, 3], [0, 2, -1]]), np.array([[1, 3, 4], [2, 4, -1]]))
    right = Spans(np.array([[-1, 0, 1, 2, 3], [-1, 0, 2, -1, -1]]), np.array([[-1, 1, 2, 3, 4], [-1, 2, 4, -1, -1]]))
    rows, mine, its = align(left, right).singles()
    assert rows.tolist() == [0, 0, 1, 1]
    assert mine.tolist() == [0, 2, 0, 1]
    assert its.tolist() == [1, 4, 1, 2]


def test_different_numbers_of_rows_are_refused():
    with pytest.raises(UsageError, match="left has 1 rows, the right 2"):
        align(side("byte-level", "x"), side("byte-level", "x", "x"))
