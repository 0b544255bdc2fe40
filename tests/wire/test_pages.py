"""Pages name the ids at their ends, and none where they are empty."""

from __future__ import annotations

import json

from stillhouse.wire.pages import write_page, write_rows


def test_a_page_of_objects_and_one_of_rows_are_alike():
    objects = [{"id": "a", "x": 1}, {"id": "b"}]
    page = {"object": "list", "data": objects, "first_id": "a", "last_id": "b", "has_more": True}
    assert json.loads(write_page(objects, has_more=True)) == page
    rows = [(str(each["id"]), json.dumps(each).encode()) for each in objects]
    assert json.loads(write_rows(rows, has_more=True)) == page


def test_an_empty_page_has_no_ends():
    empty = b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'
    assert write_page([], has_more=False) == write_rows([], has_more=False) == empty
