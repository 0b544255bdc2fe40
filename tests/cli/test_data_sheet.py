"""`stillhouse data sheet` at the terminal."""

from __future__ import annotations

import asyncio

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.items import Item, Kind, Source
from stillhouse.storage.store import Store
from tests.recipes.runs import run


def test_a_data_sheet_is_written(tmp_path):
    home = tmp_path / "home"

    async def add():
        store = await Store.open(None, home)
        items = [Item(Kind.TEXT, ({"role": "user", "content": "x"},), label="a", source=Source(teacher="big"))]
        await Catalogue(store, home, "default").add("mail", items, Step("import"))
        await store.close()

    asyncio.run(add())
    assert run("terms", "add", "big", "--allow", "train", "--attribution", "Made with Big", "--home", home).code == 0
    done = run("data", "sheet", "mail@1", "--purpose", "mail", "--out", tmp_path / "a.md", "--home", home, "--json")
    assert done.code == 0, done.err
    page = (tmp_path / "a.md").read_text()
    assert page.startswith("# Data sheet: mail@1")
    assert "Made with Big" in page
    assert done.json["terms"][0]["allowed"] == ["train"]
    assert run("data", "sheet", "mail", "--home", home).out.startswith("# Data sheet: mail@1")
    assert run("data", "sheet", "post@1", "--home", home).code == 2
