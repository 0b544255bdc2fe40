"""What verbs about keeping share: one store, open for as long as the work takes."""

from __future__ import annotations

import pytest

from stillhouse.cli.kept import Where, tell, when, with_store
from stillhouse.errors import StorageError


def test_the_store_is_open_for_the_work_and_closed_after_it(tmp_path):
    async def work(store):
        await store.keys.create("default", "ann", [])
        return store

    store = with_store(Where(tmp_path), work)

    async def again(other):
        assert other is not store
        with pytest.raises(StorageError, match="closed"):
            await store.keys.create("default", "bob", [])
        return [key.name for key in await other.keys.all()]

    assert with_store(Where(tmp_path, None, tmp_path / "key"), again) == ["ann"]


def test_words_are_told_as_they_are(capsys):
    tell("[bold]no markup[/] " + "x" * 200)
    assert capsys.readouterr().out == "[bold]no markup[/] " + "x" * 200 + "\n"
    assert len(when(0)) == len("1970-01-01 00:00:00")
