"""What the tests of `stillhouse generate` share: a home with a dataset, and the command line run on it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

from stillhouse.cli.main import run
from stillhouse.data.catalogue import Catalogue, Step, Version
from stillhouse.data.items import Item, Kind, Media
from stillhouse.storage.store import Store


def text(words: str, **more) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": words},), **more)


def with_picture(home: Path, content: bytes, type: str = "image/png") -> Media:
    """A file in a home folder."""

    async def put() -> Media:
        store = await Store.open(None, home)
        try:
            async with store.files.blobs.draft() as draft:
                await draft.write(content)
                blob = await draft.seal()
                store.files.blobs.keep(draft, blob)
                return Media(blob.digest, type, "a.png", blob.bytes)
        finally:
            await store.close()

    return asyncio.run(put())


def pictures_shown(call: dict) -> list[bytes]:
    """The pictures in what a teacher was asked."""
    parts = [
        part for message in call["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [b64decode(url.partition(",")[2]) for url in urls]


def with_dataset(home: Path, name: str, items: Sequence[Item]) -> Version:
    """A dataset in a home folder."""

    async def work() -> Version:
        store = await Store.open(None, home)
        try:
            return await Catalogue(store, home, "default").add(name, items, Step("import"))
        finally:
            await store.close()

    return asyncio.run(work())


def contents(home: Path, reference: str) -> tuple[Version, list[Item], list[tuple[Item, str]]]:
    """A version, its items, and what it left out."""

    async def work():
        store = await Store.open(None, home)
        try:
            catalogue = Catalogue(store, home, "default")
            version = await catalogue.find(reference)
            return version, list(catalogue.read(version)), list(catalogue.read_dropped(version))
        finally:
            await store.close()

    return asyncio.run(work())


def called(capsys, home: Path, *arguments: str) -> tuple[int, dict, str]:
    """The exit code of a verb, its JSON, and what it told people."""
    code = run(["generate", *arguments, "--home", str(home), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err
