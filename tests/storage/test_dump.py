"""Dumps: a copy is of one moment whoever writes meanwhile, and rows go through JSON lines unchanged."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from sqlalchemy import insert, text

from stillhouse.errors import StorageError
from stillhouse.storage.dump import (
    copy_sqlite,
    counts,
    empty,
    fill,
    lines,
    opened,
    read_lines,
    rows,
    tables,
    write_rows,
)
from stillhouse.storage.tables import COMPLETIONS, DELETED, IDENTITY

ROW = {
    "project": "p",
    "id": "chatcmpl-1",
    "created": 5,
    "asked": "a",
    "model": "ü\n\"'",
    "route": "",
    "metadata": b"{}",
    "answer": b"\xff\x00",
    "messages": "ü".encode(),
    "subject": None,
}


def test_a_copy_is_of_one_moment_though_others_write(tmp_path):
    """Two tables get the same row in one transaction, again and again: no copy sees one without the other."""
    file = tmp_path / "a.db"
    stop = threading.Event()
    with closing(sqlite3.connect(file)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE one (n INTEGER, filler BLOB)")
        made.execute("CREATE TABLE two (n INTEGER, filler BLOB)")
        made.commit()

    def write() -> None:
        with closing(sqlite3.connect(file)) as connection:
            for number in range(100_000):
                if stop.is_set():
                    return
                with connection:
                    for table in ("one", "two"):
                        connection.execute(f"INSERT INTO {table} VALUES (?, zeroblob(5000))", (number,))

    writing = threading.Thread(target=write)
    writing.start()
    sizes = []
    try:
        for number in range(5):
            copy = tmp_path / f"copy{number}.db"
            copy_sqlite(file, copy)
            with closing(sqlite3.connect(copy)) as connection:
                query = "SELECT count(*), max(n) FROM {}"
                ones, twos = [connection.execute(query.format(table)).fetchone() for table in ("one", "two")]
                assert ones == twos
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            sizes.append(ones[0])
    finally:
        stop.set()
        writing.join()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_what_is_no_database_is_not_copied(tmp_path):
    (tmp_path / "a.db").write_bytes(b"hello" * 1_000)
    with pytest.raises(StorageError, match="cannot be copied"):
        copy_sqlite(tmp_path / "a.db", tmp_path / "b.db")


async def test_rows_go_through_lines_unchanged(database, tmp_path):
    async with database.writing() as connection:
        await write_rows(connection, COMPLETIONS, [ROW])
    if database.is_sqlite:
        return  # a copy of its file is made instead
    async with database.snapshot() as connection:
        told = [line async for line in lines(connection, COMPLETIONS)]
    assert len(told) == 1
    assert b'{"utf8":"\xc3\xbc"}' in told[0]
    assert list(read_lines(told, "a")) == [ROW]


def test_a_line_that_is_no_row_is_named():
    with pytest.raises(StorageError, match=r"a\.jsonl, line 2"):
        list(read_lines([b'{"a": 1}\n', b"nothing\n"], "a.jsonl"))


def test_an_older_form_is_filled_and_brought_to_the_newest(tmp_path):
    with opened(tmp_path / "a.db", "0001") as connection:
        older = {name: value for name, value in ROW.items() if name != "subject"}
        fill(connection, "completions", iter([{**older, "id": f"chatcmpl-{n}"} for n in range(2_500)]))
    with opened(tmp_path / "a.db") as connection:
        assert counts(connection)["completions"] == 2_500
        assert counts(connection)["files"] == 0
        some = list(rows(connection, COMPLETIONS))
        assert [len(each) for each in some] == [1_000, 1_000, 500]
        assert dict(some[0][0]) == {**ROW, "id": "chatcmpl-0"}


async def test_everything_but_the_name_of_the_database_is_emptied(database):
    async with database.writing() as connection:
        await connection.execute(insert(DELETED), [{"project": "p", "id": "x", "created": 1}])
        await empty(connection)
        left = (await connection.execute(text("SELECT count(*) FROM deleted_completions"))).scalar()
        names = (await connection.execute(text("SELECT count(*) FROM identity"))).scalar()
    assert (left, names) == (0, 1)
    assert IDENTITY not in tables()
