"""TunedModels: opened when asked for, few at once, only for their project."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from stillhouse.chat import Relayed
from stillhouse.gateway.metrics import Metrics
from stillhouse.gateway.shelf import Shelf
from stillhouse.gateway.tuned import TunedModels
from stillhouse.storage.store import Store
from stillhouse.storage.tuned import add_model
from stillhouse.storage.tuning_records import ModelKind, TunedModel
from stillhouse.wire.chat import read_call
from tests.jobs.writers import save_base


@pytest.fixture
async def shelf(tmp_path, own_database):
    """A home with two tuned models of project `p`, and one whose folder has gone."""
    store = await Store.open(own_database, tmp_path)

    async def change(connection) -> None:
        for name in ("ft:a", "ft:b", "ft:gone"):
            await add_model(connection, TunedModel(name, "p", 100, "j", ModelKind.LANGUAGE, f"jobs/{name[3:]}"))

    await store.writer.change(change)
    await store.close()
    save_base(tmp_path / "jobs" / "a")
    shutil.copytree(tmp_path / "jobs" / "a", tmp_path / "jobs" / "b")
    opened = Shelf(own_database, tmp_path)
    yield opened
    await opened.close()


async def ask(tuned: TunedModels, name: str) -> Relayed:
    call = read_call(
        f'{{"model": "{name}", "max_tokens": 2, "messages": [{{"role": "user", "content": "x"}}]}}'.encode()
    )
    answerer = await tuned.find("p", name)
    return await answerer.chat(call)


async def test_models_answer_by_name_and_only_so_many_stay_open(shelf):
    async with TunedModels(shelf, Metrics(), most=1) as tuned:
        first, second = await asyncio.gather(ask(tuned, "ft:a"), ask(tuned, "ft:a"))
        assert b'"model":"ft:a"' in first.content
        assert b"choices" in second.content
        assert b'"model":"ft:b"' in (await ask(tuned, "ft:b")).content
        assert list(tuned._opened) == ["ft:b"]


async def test_a_model_is_shown_to_its_project_alone(shelf):
    async with TunedModels(shelf, Metrics()) as tuned:
        assert [card.id for card in await tuned.cards("p")] == ["ft:a", "ft:b", "ft:gone"]
        assert list(await tuned.cards("q")) == []
        assert await tuned.find("q", "ft:a") is None
        assert await tuned.find("p", "small") is None
        assert (await tuned.find("p", "ft:a")).card.owned_by == "local"


async def test_a_deleted_model_is_gone_with_its_folder(shelf, tmp_path):
    async with TunedModels(shelf, Metrics()) as tuned:
        assert not await tuned.delete("q", "ft:a")
        assert await tuned.delete("p", "ft:a")
        assert await tuned.find("p", "ft:a") is None
        assert not (tmp_path / "jobs" / "a").exists()


async def test_a_model_whose_folder_has_gone_can_be_asked_again_once_it_is_back(shelf, tmp_path):
    async with TunedModels(shelf, Metrics()) as tuned:
        with pytest.raises(Exception, match="cannot be loaded"):
            await ask(tuned, "ft:gone")
        shutil.copytree(tmp_path / "jobs" / "b", tmp_path / "jobs" / "gone")
        assert b'"model":"ft:gone"' in (await ask(tuned, "ft:gone")).content


async def test_folders_at_home_answer_every_project_and_are_never_deleted(shelf, tmp_path):
    async with TunedModels(shelf, Metrics()) as tuned:
        shutil.copytree(tmp_path / "jobs" / "b", tmp_path / "models" / "small")
        assert [card.id for card in await tuned.cards("q")] == ["small"]
        assert b'"model":"small"' in (await ask(tuned, "small")).content
        assert await tuned.find("q", "../jobs/b") is None
        assert not await tuned.delete("p", "small")
        assert (tmp_path / "models" / "small" / "config.json").is_file()


async def test_without_a_database_there_are_none(tmp_path):
    async with TunedModels(Shelf(None, tmp_path), Metrics()) as tuned:
        assert list(await tuned.cards("p")) == []
        assert await tuned.find("p", "ft:a") is None
        assert not (tmp_path / "stillhouse.db").exists()
