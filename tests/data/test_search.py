"""Search: every kind of filter finds the rows that looking at every item finds."""

from __future__ import annotations

import pytest

from stillhouse.data.filters import Filter
from stillhouse.data.items import Facts, Item, Kind, Method, Source
from stillhouse.data.search import Search
from stillhouse.errors import DataError
from tests.data.items_for_tests import text, written

ITEMS = [
    Item(
        Kind.CHAT,
        ({"role": "user", "content": f"{'refund' if row % 3 else 'Card lost'} number {row}"},),
        {"role": "assistant", "content": f"Answer {row % 4}"} if row % 2 else None,
        label="abc"[row % 3] if row % 5 else None,
        facts=Facts(
            model=f"m{row % 2}",
            created=1_000 * row,
            language="de" if row % 4 else None,
            conversation=f"c{row // 3}",
            subject=f"s{row % 7}",
            grade=row / 50 if row % 2 else None,
            split="train",
            tags=tuple("xyz"[: row % 4]),
            metadata={"team": f"t{row % 3}", "line\nbreak": "a\nb"} if row % 2 else {},
        ),
        source=Source(Method.CAPTURED, f"call-{row}", teacher="t"),
    )
    for row in range(50)
]


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    with Search(written(tmp_path_factory.mktemp("data"), ITEMS)) as search:
        yield search


FILTERS = {
    "all": (Filter(), lambda row, item: True),
    "model": (Filter(equal={"model": ("m1",)}), lambda row, item: item.facts.model == "m1"),
    "either": (Filter(equal={"label": ("a", "b")}), lambda row, item: item.label in ("a", "b")),
    "none": (Filter(equal={"label": ("",)}), lambda row, item: item.label is None),
    "one or none": (Filter(equal={"label": ("a", "")}), lambda row, item: item.label in ("a", None)),
    "language": (Filter(equal={"language": ("de",)}), lambda row, item: item.facts.language == "de"),
    "subject": (Filter(equal={"subject": ("s3",)}), lambda row, item: item.facts.subject == "s3"),
    "conversation": (Filter(equal={"conversation": ("c4",)}), lambda row, item: item.facts.conversation == "c4"),
    "origin": (Filter(equal={"origin": ("call-7",)}), lambda row, item: row == 7),
    "time": (Filter(since=5_000, until=9_000), lambda row, item: 5 <= row < 9),
    "length": (Filter(longer=16, shorter=18), lambda row, item: 16 <= len(item.text) <= 18),
    "grade": (
        Filter(grade=(0.1, 0.5)),
        lambda row, item: item.facts.grade is not None and 0.1 <= item.facts.grade <= 0.5,
    ),
    "tags": (Filter(tags=("x", "y")), lambda row, item: {"x", "y"} <= set(item.facts.tags)),
    "metadata": (Filter(where={"team": "t2"}), lambda row, item: item.facts.metadata.get("team") == "t2"),
    "line breaks": (Filter(where={"line\nbreak": "a\nb"}), lambda row, item: row % 2 == 1),
    "no such metadata": (Filter(where={"team": "t"}), lambda row, item: False),
    "text": (Filter(match=("CARD",)), lambda row, item: "Card" in item.text),
    "answer": (Filter(answer=("answer 3",)), lambda row, item: item.words == "Answer 3"),
    "several": (
        Filter(equal={"model": ("m1",)}, where={"team": "t1"}, since=10_000, match=("refund",)),
        lambda row, item: row % 2 == 1 and row % 3 == 1 and row >= 10,
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_it_finds_what_looking_at_every_item_finds(name, search):
    wanted, meets = FILTERS[name]
    assert search.find(wanted).rows.tolist() == [row for row, item in enumerate(ITEMS) if meets(row, item)]


def test_the_likest_come_first(search):
    found = search.find(Filter(like="card lost number 9", near=0.05))
    assert found.best(1) == [9]
    assert set(found.rows.tolist()) == set(range(0, 50, 3))
    assert found.likeness is not None
    assert found.likeness.min() >= 0.05
    assert search.find(Filter(equal={"model": ("m1",)})).best(3) == [1, 3, 5]


def test_a_filter_with_quotes_finds_nothing_and_breaks_nothing(search):
    assert search.find(Filter(equal={"model": ("m1' OR '1'='1",)}, tags=("'",))).rows.tolist() == []


def test_the_index_is_kept_and_used_again(tmp_path):
    path = written(tmp_path / "data", [text("hello"), text("refund")])
    for _ in range(2):
        with Search(path) as search:
            search.prepare(Filter(match=("x",), where={"a": "b"}, answer=("x",)))
            assert search.find(Filter(match=("refund",))).rows.tolist() == [1]
    assert {place.name for place in (path.parent / "index").iterdir()} == {"text", "answer", "metadata"}


def test_a_version_whose_file_is_gone_is_told(tmp_path):
    with pytest.raises(DataError, match="is gone"):
        Search(tmp_path / "items.parquet")
