"""Bases: which models jobs may begin from, and under which names."""

from __future__ import annotations

import pytest

from stillhouse.jobs.bases import AUTO, Bases, Beginning
from stillhouse.storage.store import Store
from stillhouse.storage.tuned import add_model
from stillhouse.storage.tuning_records import ModelKind, TunedModel


@pytest.fixture
async def store(tmp_path, own_database):
    opened = await Store.open(own_database, tmp_path)
    yield opened
    await opened.close()


def folder(path):
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    return path


async def test_local_models_are_those_of_the_file_and_of_the_folder(tmp_path, store):
    mine, other = folder(tmp_path / "models" / "mine"), folder(tmp_path / "elsewhere")
    (tmp_path / "stillhouse.toml").write_text('[models]\n"org/x" = "elsewhere"\nhub = "someone/model"\n')
    bases = Bases(tmp_path)
    assert bases.local() == {"mine": str(mine), "org/x": str(other), "hub": "someone/model"}
    assert await bases.find(store, "p", "org/x") == Beginning("org/x", str(other))
    assert await bases.find(store, "p", "none") is None
    assert await bases.find(store, "p", AUTO) == Beginning(AUTO, None)


async def test_tuned_language_models_begin_others_of_their_project(tmp_path, store):
    async def change(connection) -> None:
        await add_model(connection, TunedModel("ft:org/x:local::1", "p", 1, "j", ModelKind.LANGUAGE, "jobs/j/1"))
        await add_model(connection, TunedModel("ft:b", "p", 1, "j", ModelKind.BUNDLE, "jobs/j/b"))

    await store.writer.change(change)
    bases = Bases(tmp_path)
    assert await bases.find(store, "p", "ft:org/x:local::1") == Beginning("org/x", str(tmp_path / "jobs" / "j" / "1"))
    assert await bases.find(store, "q", "ft:org/x:local::1") is None
    assert await bases.find(store, "p", "ft:b") is None
