"""What was answered is found again, whatever a kill left of the last line."""

from __future__ import annotations

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.generation.answer_book import AnswerBook


def test_answers_are_found_again(tmp_path):
    place = tmp_path / "deep" / "book.jsonl"
    book = AnswerBook(place)
    assert len(book) == 0
    book.keep("a", {"says": "ä"})
    book.keep("b", {"says": "two\nlines"})
    again = AnswerBook(place)
    assert ("a" in again, "c" in again, len(again)) == (True, False, 2)
    assert again["b"] == {"says": "two\nlines"}


@pytest.mark.parametrize("left", range(1, 30, 4))
def test_a_torn_line_is_left_out_and_cut_off(tmp_path, left):
    book = AnswerBook(tmp_path / "book.jsonl")
    book.keep("a", {"says": 1})
    whole = book.path.read_bytes()
    book.keep("b", {"says": 2})
    book.path.write_bytes(book.path.read_bytes()[: len(whole) + left])
    torn = AnswerBook(book.path)
    assert ("a" in torn, "b" in torn) == (True, False)
    torn.keep("c", {"says": 3})
    assert {key: AnswerBook(book.path)[key]["says"] for key in ("a", "c")} == {"a": 1, "c": 3}
    assert book.path.read_bytes().startswith(whole)


def test_a_damaged_line_is_named(tmp_path):
    place = tmp_path / "book.jsonl"
    for line in ("[]\n", "nothing\n", '{"asked": 3}\n'):
        place.write_text('{"asked": "a", "answer": {}}\n' + line)
        with pytest.raises(StillhouseError, match=r"book\.jsonl, line 2 is damaged"):
            AnswerBook(place)
