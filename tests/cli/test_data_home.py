"""What the verbs of data share: the catalogue of a project, open while it is worked with."""

from __future__ import annotations

import pytest

from stillhouse.cli.data_home import day, with_catalogue
from stillhouse.data.items import Item, Kind
from stillhouse.data.versions import Step
from stillhouse.errors import UsageError


def test_projects_see_their_own_datasets_alone(tmp_path):
    async def add(catalogue, store):
        return await catalogue.add("a", [Item(Kind.TEXT)], Step("import"))

    async def find(catalogue, store):
        return await catalogue.find("a")

    made = with_catalogue(("p", tmp_path, None), add)
    assert with_catalogue(("p", tmp_path, None), find) == made
    with pytest.raises(UsageError, match="'q'"):
        with_catalogue(("q", tmp_path, None), find)


def test_a_day_is_told_to_the_minute():
    assert len(day(0)) == len("1970-01-01 00:00")
