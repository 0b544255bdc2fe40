"""Backups: all that was kept at one moment, taken while others go on, and nothing else."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tarfile
from contextlib import closing

import pytest

from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.archive import check_archive, entries
from stillhouse.storage.backup import backup
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.records import Scope
from stillhouse.storage.restore import verify
from stillhouse.storage.store import Store
from tests.storage.stored import completion


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
async def store(url, home):
    store = await Store.open(url, home)
    yield store
    await store.close()


def names(archive) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


async def test_a_backup_holds_rows_bytes_and_what_the_server_is_told(store, home, tmp_path):
    await store.completions.add("p", completion(1, tag="a"), completion(2))
    await store.keys.create("p", "ann", [Scope.READ])
    file = await store.files.put("p", NewFile("a.txt", "user_data"), [b"some bytes"])
    await store.files.put("q", NewFile("the same.txt", "user_data"), [b"some bytes"])
    (home / "stillhouse.toml").write_text("# mine\n")
    (home / "cache").mkdir()
    (home / "cache" / "large").write_text("can be made again")
    manifest = await backup(store, home, tmp_path / "b.tar")
    assert manifest.kind == ("sqlite" if store.database.is_sqlite else "postgresql")
    assert {name: manifest.tables[name] for name in ("completions", "completion_terms", "files", "api_keys")} == {
        "completions": 2,
        "completion_terms": 5,
        "files": 2,
        "api_keys": 1,
    }
    there = names(tmp_path / "b.tar")
    assert [name for name in there if not name.startswith("database/")] == [
        f"blobs/{file.blob.digest}",
        "home/stillhouse.toml",
        "manifest.json",
    ]
    assert verify(tmp_path / "b.tar") == check_archive(tmp_path / "b.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "home"]


async def test_the_lines_of_postgresql_are_plain(store, home, tmp_path):
    if store.database.is_sqlite:
        return
    await store.completions.add("p", completion(1, tag="a"))
    await backup(store, home, tmp_path / "b.tar.gz")
    with entries(tmp_path / "b.tar.gz") as members:
        [line] = next(source.read() for name, source, _ in members if name == "database/completions.jsonl").splitlines()
    row = json.loads(line)
    assert (row["id"], json.loads(row["metadata"]["utf8"])) == ("chatcmpl-000001", {"tag": "a"})


async def test_files_that_come_and_go_meanwhile_make_no_backup_that_lacks_bytes(store, home, tmp_path):
    done = asyncio.Event()

    async def come_and_go() -> None:
        number = 0
        while not done.is_set():
            made = [
                await store.files.put("p", NewFile("a", "user_data"), [b"%d" % n]) for n in range(number, number + 3)
            ]
            await asyncio.sleep(0)
            for each in made:
                await store.files.delete("p", each.id)
            number += 2  # some bytes come again

    coming = asyncio.create_task(come_and_go())
    for number in range(4):
        archive = tmp_path / f"{number}.tar"
        await asyncio.sleep(0.05)
        await backup(store, home, archive)
        await asyncio.to_thread(verify, archive)
    done.set()
    await coming


async def test_the_models_that_jobs_made_are_kept(store, home, tmp_path):
    folder = home / "models" / "tuned"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "weights").write_bytes(b"weights")
    (home / "models" / "base").mkdir()
    (home / "models" / "base" / "weights").write_bytes(b"from the hub")
    async with store.database.writing() as connection:
        columns = "(name, project, created, job, kind, folder)"
        for name, folder in (("ft:base:org::1", "models/tuned"), ("ft:base:org::2", "models/tuned/inner")):
            row = f"('{name}', 'p', 5, 'ftjob-1', 'transformers', '{folder}')"
            await connection.exec_driver_sql(f"INSERT INTO tuned_models {columns} VALUES {row}")
    await backup(store, home, tmp_path / "b.tar")
    kept = [name for name in names(tmp_path / "b.tar") if name.startswith("home/")]
    assert kept == ["home/models/tuned/inner/weights"]


async def test_what_workers_have_done_is_kept(store, home, tmp_path):
    home.mkdir(exist_ok=True)
    with closing(sqlite3.connect(home / "dbos.sqlite")) as jobs:
        jobs.execute("CREATE TABLE steps (n)")
        jobs.commit()
    await backup(store, home, tmp_path / "b.tar")
    assert ("home/dbos.sqlite" in names(tmp_path / "b.tar")) == store.database.is_sqlite


async def test_bytes_that_are_missing_are_said_and_no_backup_is_made(store, home, tmp_path):
    file = await store.files.put("p", NewFile("a.txt", "user_data"), [b"some bytes"])
    store.files.blobs.path(file.blob.digest).unlink()
    with pytest.raises(StorageError, match=file.blob.digest):
        await backup(store, home, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


async def test_where_nothing_can_be_written_it_is_said(store, home, tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        await backup(store, home, tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        await backup(store, home, tmp_path / "file" / "b.tar")
