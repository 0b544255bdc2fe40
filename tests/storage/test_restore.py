"""Restoring: from either database into either, whole or not at all, and never over what is there unasked."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import tarfile
from contextlib import closing

import orjson
import pytest
from sqlalchemy import BigInteger, Boolean, Float, LargeBinary, Text, select

from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.backup import backup
from stillhouse.storage.dump import empty, tables, write_rows
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.records import Cut, Scope, Wanted
from stillhouse.storage.restore import restore, verify
from stillhouse.storage.store import Store
from stillhouse.storage.tables import DATASET_MEDIA, FILES, UPLOAD_PARTS
from tests.storage.databases import KINDS, new_database
from tests.storage.stored import completion, numbers


@pytest.fixture(params=KINDS)
async def target(request) -> str | None:
    """A database to restore into; None is the file in the home folder."""
    if request.param == "sqlite":
        return None
    return await new_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def archive(url, tmp_path):
    """A backup of a store with two calls, a key, and two files, one of them deleted."""
    home = tmp_path / "old"
    store = await Store.open(url, home)
    await store.completions.add("p", completion(1, tag="a"), completion(2))
    await store.keys.create("p", "ann", [Scope.READ])
    for name in ("kept", "gone"):
        await store.files.put("p", NewFile(name, "user_data"), [name.encode()])
    [gone, _] = (await store.files.page("p", None, Cut())).rows
    await store.files.delete("p", gone.id)
    (home / "stillhouse.toml").write_text("# mine\n")
    await backup(store, home, tmp_path / "b.tar")
    await store.close()
    return tmp_path / "b.tar"


async def test_everything_is_there_again(archive, target, tmp_path):
    home = tmp_path / "new"
    await restore(archive, home, target)
    store = await Store.open(target, home)
    assert numbers(await store.completions.page("p", Wanted(), Cut())) == [2, 1]
    assert await store.completions.get("p", "chatcmpl-000001") == completion(1, tag="a")
    assert numbers(await store.completions.page("p", Wanted(metadata={"tag": "a"}), Cut())) == [1]
    assert [key.name for key in await store.keys.all()] == ["ann"]
    [file] = (await store.files.page("p", None, Cut())).rows
    with await store.files.open(file) as content:
        assert content.read() == b"kept"
    assert (home / "stillhouse.toml").read_text() == "# mine\n"
    await store.completions.add("p", completion(3))  # it goes on as any other
    await backup(store, home, tmp_path / "again.tar")
    await store.close()
    before, after = verify(archive), verify(tmp_path / "again.tar")
    assert after.tables == {
        **before.tables,
        "completions": 3,
        "completion_terms": before.tables["completion_terms"] + 2,
    }


async def test_every_table_comes_back_with_what_it_held(url, target, tmp_path):
    """One row in each, of whatever its columns hold: also in tables that are made after this was written."""
    values = {BigInteger: 2**40, Boolean: True, Float: 0.1, LargeBinary: b"\xff\x00{}", Text: "models"}
    made = {table: {column.name: values[type(column.type)] for column in table.columns} for table in tables()}
    for table in (FILES, UPLOAD_PARTS, DATASET_MEDIA):
        made[table] |= {"digest": hashlib.sha256(b"some bytes").hexdigest(), "bytes": len(b"some bytes")}
    store = await Store.open(url, tmp_path / "old")
    await store.files.put("p", NewFile("a", "user_data"), [b"some bytes"])
    async with store.database.writing() as connection:
        await empty(connection)
        for table, row in made.items():
            await write_rows(connection, table, [row])
    await backup(store, tmp_path / "old", tmp_path / "b.tar")
    await store.close()
    await restore(tmp_path / "b.tar", tmp_path / "new", target)
    store = await Store.open(target, tmp_path / "new")
    async with store.database.reading() as connection:
        for table, row in made.items():
            assert [dict(found) for found in (await connection.execute(select(table))).mappings()] == [row], table
    await store.close()


async def test_what_is_there_is_not_touched_unasked(archive, target, tmp_path):
    home = tmp_path / "new"
    store = await Store.open(target, home)
    await store.completions.add("p", completion(7))
    mine = await store.files.put("p", NewFile("mine", "user_data"), [b"mine"])
    with pytest.raises(UsageError, match="not empty"):
        await restore(archive, home, target)
    assert numbers(await store.completions.page("p", Wanted(), Cut())) == [7]
    with await store.files.open(mine) as content:
        assert content.read() == b"mine"
    await restore(archive, home, target, force=True)
    assert numbers(await store.completions.page("p", Wanted(), Cut())) == [2, 1]
    assert [each.filename for each in (await store.files.page("p", None, Cut())).rows] == ["kept"]
    await store.close()


async def test_a_database_that_is_not_empty_is_not_touched_either(archive, tmp_path, postgres_url):
    target = await new_database(postgres_url)
    store = await Store.open(target, tmp_path / "other")
    await store.completions.add("p", completion(7))
    with pytest.raises(UsageError, match="is not empty: it has completion_terms"):
        await restore(archive, tmp_path / "new", target)
    assert list((tmp_path / "new").glob("*")) == []
    assert numbers(await store.completions.page("p", Wanted(), Cut())) == [7]
    await store.close()


async def test_a_damaged_backup_is_found_before_anything_is_touched(archive, tmp_path):
    damaged = bytearray(archive.read_bytes())
    damaged[damaged.index(b"kept")] ^= 1
    archive.write_bytes(damaged)
    for work in (lambda: verify(archive), None):
        with pytest.raises(StorageError, match="damaged"):
            work() if work else await restore(archive, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()


async def test_what_cannot_be_finished_leaves_the_home_folder_empty(archive, tmp_path):
    home = tmp_path / "new"
    home.mkdir()
    pieces = 0

    def told(what: str, size: int) -> None:
        nonlocal pieces
        pieces += what.startswith("Restoring")
        if pieces == 3:
            raise EOFError

    with pytest.raises(EOFError):
        await restore(archive, home, None, told=told)
    assert list(home.iterdir()) == []


def rewritten(archive, change) -> None:
    """An archive whose members went through a function, with a manifest that fits the new bytes."""
    with tarfile.open(archive) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    manifest["members"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in members.items()
    }
    with tarfile.open(archive, "w") as tar:
        for name, content in [*members.items(), ("manifest.json", json.dumps(manifest).encode())]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


async def test_rows_are_counted(archive):
    def change(members, manifest) -> None:
        manifest["tables"]["completions"] = 3

    rewritten(archive, change)
    with pytest.raises(StorageError, match="completions has 2 rows instead of 3"):
        verify(archive)


async def test_bytes_that_lack_are_missed(archive):
    def change(members, manifest) -> None:
        del members[next(name for name in members if name.startswith("blobs/"))]

    rewritten(archive, change)
    with pytest.raises(StorageError, match="lacks the bytes of a file"):
        verify(archive)


async def test_a_database_that_is_torn_is_found(archive, url):
    if not url.startswith("sqlite"):
        return

    def change(members, manifest) -> None:
        content = members["database/stillhouse.db"]
        members["database/stillhouse.db"] = content[:8192] + bytes(len(content) - 8192)

    rewritten(archive, change)
    with pytest.raises(StorageError, match="damaged"):
        verify(archive)


async def test_a_backup_of_a_newer_form_is_refused(archive):
    def change(members, manifest) -> None:
        manifest["form"] = "9999"

    rewritten(archive, change)
    with pytest.raises(StorageError, match="9999"):
        verify(archive)


async def test_a_backup_of_an_older_form_is_brought_to_the_newest(archive, url, tmp_path):
    """Here: of before there were evals and jobs."""

    def change(members, manifest) -> None:
        manifest["form"] = "0002"
        old = {"projects", "api_keys", "completions", "completion_terms", "deleted_completions", "files", "uploads"}
        for name in sorted(set(manifest["tables"]) - old - {"deleted_files", "upload_parts"}):
            del manifest["tables"][name]
            if url.startswith("sqlite"):
                drop(members, name)
            else:
                del members[f"database/{name}.jsonl"]
        if url.startswith("sqlite"):
            drop(members, None)
            return
        kept = [orjson.loads(line) for line in members["database/completions.jsonl"].splitlines()]
        older = ({name: value for name, value in row.items() if name != "subject"} for row in kept)
        members["database/completions.jsonl"] = b"".join(orjson.dumps(row) + b"\n" for row in older)

    def drop(members, table: str | None) -> None:
        file = tmp_path / "old.db"
        file.write_bytes(members["database/stillhouse.db"])
        with closing(sqlite3.connect(file)) as connection:
            if table is None:
                connection.execute("ALTER TABLE completions DROP COLUMN subject")
            connection.execute(f"DROP TABLE {table}" if table else "UPDATE alembic_version SET version_num = '0002'")
            connection.commit()
        members["database/stillhouse.db"] = file.read_bytes()

    rewritten(archive, change)
    await restore(archive, tmp_path / "new", None)
    store = await Store.open(None, tmp_path / "new")
    assert numbers(await store.completions.page("p", Wanted(), Cut())) == [2, 1]
    await store.close()
