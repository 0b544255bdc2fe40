"""What a list's query says is read, and what it says wrongly is named."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from stillhouse.gateway.paging import read_cut, read_filters, unknown_cursor
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
