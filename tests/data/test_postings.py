"""Postings: every term leads to its rows, whole terms and parts of them, and files are whole or not there."""

from __future__ import annotations

import pytest

from stillhouse.data.postings import Postings, PostingsWriter, placed
from stillhouse.errors import DataError

ROWS = [["card", "lost", "card"], [], ["discard", "ünlost"], ["card"], ["car"]]


@pytest.fixture
def postings(tmp_path) -> Postings:
    return Postings(placed(tmp_path / "index" / "text", write))


def write(folder) -> None:
    writer = PostingsWriter()
    for row, terms in enumerate(ROWS):
        writer.add(row, terms)
    writer.write(folder)


def rows(postings, **how) -> list[list[int]]:
    return [postings.rows(term).tolist() for term in postings.matching(**how).tolist()]


def test_a_term_leads_to_its_rows(postings):
    assert len(postings) == 5
    assert postings.rows(postings.find("card")).tolist() == [0, 3]
    assert postings.rows(postings.find("ünlost")).tolist() == [2]
    assert postings.find("los") is None
    assert postings.find("") is None
    assert sorted(postings.counts().tolist()) == [1, 1, 1, 1, 2]


def test_parts_of_terms_lead_to_all_that_have_them(postings):
    assert rows(postings, part="card") == [[0, 3], [2]]
    assert rows(postings, part="car", begins=True) == [[4], [0, 3]]
    assert rows(postings, part="lost", ends=True) == [[0], [2]]
    assert rows(postings, part="card", begins=True, ends=True) == [[0, 3]]
    assert rows(postings, part="x") == []


def test_a_term_of_many_occurrences_of_a_part_is_found_once(tmp_path):
    def repeated(folder) -> None:
        writer = PostingsWriter()
        writer.add(0, ["aaaa", "b"])
        writer.write(folder)

    assert rows(Postings(placed(tmp_path / "x", repeated)), part="aa") == [[0]]


def test_no_terms_at_all_are_no_trouble(tmp_path):
    empty = Postings(placed(tmp_path / "index", lambda folder: PostingsWriter().write(folder)))
    assert len(empty) == 0
    assert empty.find("a") is None


def test_what_failed_leaves_nothing(tmp_path):
    def failing(folder) -> None:
        (folder / "terms").write_bytes(b"half")
        raise OSError("the disk is full")

    with pytest.raises(DataError, match="disk is full"):
        placed(tmp_path / "index" / "text", failing)
    assert list((tmp_path / "index").iterdir()) == []


def test_what_is_there_is_not_made_again(tmp_path):
    placed(tmp_path / "index", write)
    assert placed(tmp_path / "index", lambda folder: pytest.fail("made again")) == tmp_path / "index"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "index").iterdir()} == {0o600}
