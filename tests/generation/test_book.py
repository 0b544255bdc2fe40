"""What was answered and paid is found again, whatever a kill left of the last line; old books are read."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from stillhouse.chat import Usage
from stillhouse.errors import StillhouseError, StorageError, UsageError
from stillhouse.generation.book import Book, Scribe, book_place


def told(digest: str, words: str = "ä\n", cost: str = "0.0003", **more) -> dict:
    choices = [{"message": {"role": "assistant", "content": words}}]
    return {"told": digest, "most": "0.001", "cost": cost, "job": "j", "usage": [7, 3], "choices": choices, **more}


def sent(digest: str, most: str = "0.001") -> dict:
    return {"sent": digest, "most": most, "job": "j"}


def test_answers_are_found_again(tmp_path):
    place = tmp_path / "deep" / "book.jsonl"
    with Book(place) as book:
        assert (len(book), book.find("a")) == (0, None)
        book.append([sent("a"), told("a"), {"refused": "b", "reason": "no"}])
        book.append([sent("c"), {"free": "c", "most": "0.001", "job": "j"}, sent("d")])
    again = Book(place)
    assert ("a" in again, "c" in again, len(again)) == (True, False, 2)
    found = again.find("z", "a")
    assert found is not None
    assert found.choices[0]["message"]["content"] == "ä\n"
    assert (found.usage, found.cost, found.refused) == (Usage(7, 3), Decimal("0.0003"), None)
    refused = again.find("b")
    assert refused is not None
    assert refused.refused == "no"
    ledger = again.ledger("j")
    assert (ledger.spent, ledger.reserved) == (Decimal("0.0003"), Decimal("0.001"))
    assert again.ledger("other").spent == 0
    assert (again.usual(""), again.usual("label")) == (3, None)
    assert all("crc" in orjson.loads(line) for line in place.read_bytes().splitlines())


def test_cut_at_any_byte_it_opens_and_goes_on(tmp_path):
    place = tmp_path / "book.jsonl"
    with Book(place) as book:
        book.append([sent("a"), told("a"), sent("b"), told("b")])
    content = place.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10]
    for cut in range(len(content) + 1):
        place.write_bytes(content[:cut])
        torn = Book(place)
        assert ("a" in torn, "b" in torn) == (cut >= ends[1], cut >= ends[3])
        with torn:
            torn.append([told("c")])
        whole = Book(place)
        assert ("c" in whole, "a" in whole) == (True, cut >= ends[1])


def test_a_damaged_line_is_named(tmp_path):
    place = tmp_path / "book.jsonl"
    with Book(place) as book:
        book.append([told("a"), told("b")])
    first, second = place.read_bytes().splitlines(keepends=True)
    for damaged in (first.replace(b"0.0003", b"0.0001"), b"[]\n", b"nothing\n", b'{"asked": "a"}\n', b'{"who": 1}\n'):
        place.write_bytes(second + damaged + second)
        with pytest.raises(StillhouseError, match=r"book\.jsonl, line 2 is damaged"):
            Book(place)


def test_books_from_before_are_read_and_go_on(tmp_path):
    place = tmp_path / "book.jsonl"
    place.write_text(
        '{"asked":"a","answer":{"message":{"content":"x"}}}\n{"asked":"b","answer":{"refused":"no"}}\n{"as'
    )
    with Book(place) as book:
        assert [book.find(name).choices for name in "a"] == [({"message": {"content": "x"}},)]  # type: ignore[union-attr]
        assert book.find("b").refused == "no"  # type: ignore[union-attr]
        book.append([told("c")])
    assert len(Book(place)) == 3


def test_one_writes_at_a_time_and_sees_what_another_wrote(tmp_path):
    place = tmp_path / "book.jsonl"
    other = Book(place)
    with Book(place) as book:
        with pytest.raises(UsageError, match="Another run asks this teacher"):
            other.__enter__()
        book.append([told("a")])
    assert "a" not in other
    with other:
        assert "a" in other
        assert other.ledger("j").spent == Decimal("0.0003")
    with pytest.raises(StorageError, match="not open to be written"):
        other.append([told("b")])


def test_a_replayed_answer_was_paid_for_once(tmp_path):
    place = tmp_path / "book.jsonl"
    with Book(place) as book:
        book.append([sent("a"), sent("a"), sent("a"), told("a", replayed=True), sent("b"), sent("b"), told("b")])
    ledger = Book(place).ledger("j")
    assert (ledger.spent, ledger.reserved) == (Decimal("0.0006"), Decimal("0.001"))


async def test_many_write_together(tmp_path):
    place = tmp_path / "book.jsonl"
    with Book(place) as book:
        scribe = Scribe(book)
        await asyncio.gather(*(scribe.write(told(f"k{number}")) for number in range(200)))
        await scribe.close()
    assert len(Book(place)) == 200


async def test_who_waits_for_a_line_hears_that_it_was_not_written(tmp_path):
    scribe = Scribe(Book(tmp_path / "book.jsonl"))
    found = await asyncio.gather(scribe.write(told("a")), scribe.write(told("b")), return_exceptions=True)
    assert [type(each) for each in found] == [StorageError, StorageError]


def test_a_book_lies_by_its_teacher():
    home = Path("home")
    assert book_place(home, "http://a/v1/", "m") == book_place(home, "http://a/v1", "m")
    assert book_place(home, "http://a/v1", "m") != book_place(home, "http://a/v1", "n")
