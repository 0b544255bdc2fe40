"""Datasets in a home folder, and verbs called on it, for the tests of those about curation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stillhouse.cli.main import run
from stillhouse.data.catalogue import Catalogue
from stillhouse.data.items import Item, Kind, Source
from stillhouse.data.versions import Step
from stillhouse.storage.store import Store


def chat(asked: str, answered: str | None = None, row: int = 0, **more: Any) -> Item:
    said = None if answered is None else {"role": "assistant", "content": answered}
    return Item(Kind.CHAT, ({"role": "user", "content": asked},), said, source=Source(row=row), **more)


def add(home: Path, name: str, items: Iterable[Item]) -> str:
    """A new version of a dataset; its hash."""

    async def work() -> str:
        store = await Store.open(None, home)
        try:
            return (await Catalogue(store, home, "default").add(name, items, Step("import", ("made.jsonl",)))).hash
        finally:
            await store.close()

    return asyncio.run(work())


def read(home: Path, reference: str) -> tuple[list[Item], list[tuple[Item, str]]]:
    """The items of a version, and those that its step left out."""

    async def work() -> tuple[list[Item], list[tuple[Item, str]]]:
        store = await Store.open(None, home)
        try:
            catalogue = Catalogue(store, home, "default")
            version = await catalogue.find(reference)
            return list(catalogue.read(version)), list(catalogue.read_dropped(version))
        finally:
            await store.close()

    return asyncio.run(work())


def caller(home: Path, capsys: Any) -> Callable[..., tuple[int, Any]]:
    """Runs `stillhouse data VERB` on a home folder with `--json`; gives its exit code and the object."""

    def call(*arguments: str) -> tuple[int, Any]:
        code = run(["data", *arguments, "--home", str(home), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call
