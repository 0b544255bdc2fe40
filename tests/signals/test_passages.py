"""Parts of a row that count are cut alike on both sides, whatever template stands around them."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.signals.passages import Passage, Placed, cut_alike


def row(*parts: tuple[str, list[str], str, str | None], first: int = 0) -> Placed:
    """A row of a question's token and an answer for each part.

    A part is (what comes before, its tokens, what was said, the token that ends it).
    """
    starts, ends, passages, at = [-1] * first, [-1] * first, [], 0
    for before, tokens, said, closing in parts:
        for token in [before] if before else []:
            starts.append(at)
            at += len(token.encode())
            ends.append(at)
        text, begin = "".join(tokens), at
        for token in tokens:
            starts.append(at)
            at += len(token.encode())
            ends.append(at)
        last = -1
        if closing is not None:
            last = len(starts)
            starts.append(at)
            at += len(closing.encode())
            ends.append(at)
        where = len(text[: text.index(said)].encode())
        passages.append(Passage(begin, text.encode(), (where, where + len(said.encode())), last))
    return Placed(np.array(starts), np.array(ends), tuple(passages))


def cut(left: Placed, right: Placed) -> tuple[list[int], list[int], int]:
    (found,) = cut_alike([left], [right])
    return found.left.tolist(), found.right.tolist(), found.count


def test_equal_parts_are_cut_whole_with_what_ends_them():
    mine = row(("Q: ", ["It", " is", " late"], "It is late", "<|end|>"))
    its = row(("[INST]Q[/INST]", ["It is", " la", "te"], "It is late", "</s>"))
    assert cut(mine, its) == ([-1, 0, 0, 1, 2], [-1, 0, 1, 1, 2], 3)


def test_of_unequal_parts_the_words_are_cut():
    mine = row(("Q", ["<think>", "</think>", "\n", "Yes", "."], "Yes.", "<|end|>"))
    its = row(("Q", [" Yes", "."], "Yes.", "</s>"))
    assert cut(mine, its) == ([-1, -1, -1, -1, 0, 1, 2], [-1, 0, 1, 2], 3)


def test_white_space_before_the_end_belongs_to_it():
    mine, its = row(("Q", ["Yes"], "Yes", "<|end|>")), row(("Q", [" Yes", " "], "Yes", "</s>"))
    assert cut(mine, its) == ([-1, 0, 1], [-1, 0, 1, 1], 2)


def test_what_only_one_side_writes_before_the_end_leaves_the_end_out():
    mine, its = row(("Q", ["Yes"], "Yes", "<|end|>")), row(("Q", ["Yes", "!?"], "Yes", "</s>"))
    assert cut(mine, its) == ([-1, 0, -1], [-1, 0, -1, -1], 1)
    assert cut(mine, row(("Q", ["Yes"], "Yes", None))) == ([-1, 0, -1], [-1, 0], 1)


def test_a_token_that_reaches_over_the_words_lies_outside():
    mine, its = row(("Q", ["It", " is"], "It is", None)), row(("Q", ["(It", " is"], "It is", None))
    assert cut(mine, its) == ([-1, -1, 0], [-1, -1, 0], 1)


def test_other_words_have_nothing_in_common():
    mine, its = row(("Q", ["Yes"], "Yes", "</s>")), row(("Q", ["No"], "No", "</s>"))
    assert cut(mine, its) == ([-1, -1, -1], [-1, -1, -1], 0)


def test_several_parts_are_numbered_one_after_the_other():
    mine = row(("Q", ["Yes", "."], "Yes.", "</s>"), ("W", ["N", "o"], "No", "</s>"))
    its = row(("Q", ["Yes."], "Yes.", "|"), ("W", ["No"], "No", "|"))
    assert cut(mine, its) == ([-1, 0, 0, 1, -1, 2, 2, 3], [-1, 0, 1, -1, 2, 3], 4)
    with pytest.raises(UsageError, match="other"):
        cut(mine, row(("Q", ["Yes."], "Yes.", "|")))


def test_a_beginning_that_one_side_has_lost_is_no_chunk():
    mine = row(("Q", ["It", " is", " late"], "It is late", "|"))
    whole = row(("Q", ["It is", " late"], "It is late", "|"))
    assert cut(mine.keep(np.array([0, 2, 3, 4])), whole) == ([-1, -1, 0, 1], [-1, -1, 0, 1], 2)
    assert cut(mine, whole.keep(np.array([2, 3])))[2] == 2
    assert mine.keep(np.array([0, 1, 2])).passages[0].closing == -1


def test_the_first_token_of_a_row_is_predicted_by_nothing():
    """On one side a token begins every text, on the other none."""
    mine = row(("", ["It", " is", " late"], "It is late", "|"))
    its = row(("", ["It", " is", " late"], "It is late", "|"), first=1)
    assert cut(mine, its) == ([-1, 1, 2, 3], [-1, 0, 1, 2, 3], 4)
    wide = row(("", ["It is", " late"], "It is late", "|"), first=1)
    assert cut(mine, wide)[0] == [-1, -1, 1, 2]


def test_multi_byte_words_are_cut_by_bytes():
    mine = row(("é", ["你", "好 👍"], "你好 👍", "|"))
    its = row(("日本", ["你好", " 👍"], "你好 👍", "|"))
    assert cut(mine, its) == ([-1, 0, 0, 1], [-1, 0, 0, 1], 2)


def test_rows_are_cut_together_as_apart():
    rows = [(row(("Q", ["a", "b"], "ab", "|")), row(("Q", ["ab"], "ab", "|"))), (row(("Q", ["c"], "c", "|")),) * 2]
    both = cut_alike(*zip(*rows, strict=True))
    for found, (mine, its) in zip(both, rows, strict=True):
        assert (found.left.tolist(), found.right.tolist(), found.count) == cut(mine, its)
    assert cut_alike([], []) == []
