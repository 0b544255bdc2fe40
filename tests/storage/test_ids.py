"""Ids are new each time, sort by time, and are told from what can be none."""

from __future__ import annotations

import pytest

from stillhouse.storage.ids import LONGEST, is_id, new_id


def test_ids_are_new_and_later_ones_sort_later():
    made = [new_id("chatcmpl-") for _ in range(1000)]
    times = [each[:23] for each in made]
    assert len(set(made)) == 1000
    assert times == sorted(times)
    assert all(is_id(each) for each in made)


@pytest.mark.parametrize("text", ["", "a\x00b", "ä", "line\n", "x" * (LONGEST + 1)])
def test_what_can_be_no_id_is_told(text):
    assert not is_id(text)
