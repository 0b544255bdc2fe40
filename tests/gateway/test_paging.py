"""What a list's query says is read, and what it says wrongly is named."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from stillhouse.gateway.paging import read_choice, read_cut, read_filters, unknown_cursor
from stillhouse.storage.records import Cut
from stillhouse.wire.errors import WireError


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", Cut(20, None, False)),
        ("limit=5&after=chatcmpl-1&order=asc", Cut(5, "chatcmpl-1", True)),
        ("limit=100&order=desc&after=", Cut(100, None, False)),
    ],
)
def test_a_page(query, asked):
    assert read_cut(QueryParams(query)) == asked


def test_where_nothing_is_said_the_list_s_own_order_holds():
    assert read_cut(QueryParams(""), ascending=True).ascending
    assert not read_cut(QueryParams("order=desc"), ascending=True).ascending


@pytest.mark.parametrize("query", ["limit=-1", "limit=1e1", "limit=", "limit=9999999999", "order=ASC", "after=%00"])
def test_what_is_wrong(query):
    with pytest.raises(WireError) as caught:
        read_cut(QueryParams(query))
    assert caught.value.param == query.partition("=")[0]


def test_metadata_come_in_brackets():
    query = "metadata%5Ba+b%5D=v%261&metadata[]=empty-key&metadata[x]=&model=m&metadata=null"
    assert read_filters(QueryParams(query)) == {"a b": "v&1", "": "empty-key", "x": ""}


def test_a_cursor_is_shown_short():
    assert len(str(unknown_cursor("x" * 1000))) < 150


def test_a_word_is_one_of_those_that_are_known():
    assert read_choice(QueryParams("status=a"), "status", ("a", "b")) == "a"
    assert read_choice(QueryParams(""), "status", ("a", "b")) is None
    with pytest.raises(WireError) as caught:
        read_choice(QueryParams("status=c"), "status", ("a", "b"))
    assert (caught.value.code, caught.value.param) == ("invalid_value", "status")


def test_a_list_may_have_longer_pages():
    assert read_cut(QueryParams(""), size=10_000, largest=10_000).limit == 10_000
    assert read_cut(QueryParams("limit=5000"), size=10_000, largest=10_000).limit == 5_000
    with pytest.raises(WireError, match="<= 10000"):
        read_cut(QueryParams("limit=10001"), size=10_000, largest=10_000)
