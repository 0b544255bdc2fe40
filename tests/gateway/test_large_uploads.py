"""Large uploads: in little memory, in little room, and through `kill -9`; nothing torn is ever seen."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import APIConnectionError, OpenAI
from sqlalchemy import select

from stillhouse.storage.store import Store
from stillhouse.storage.tables import FILES
from tests.gateway.routes.test_files import await_until, lying, refusal
from tests.gateway.uploading import begin, peak_memory, process, upload

MEGABYTE = 10**6
ANY = "user_data"
ROW = b'{"messages": [{"role": "user", "content": "' + b"x" * 952 + b'"}]}\n'
SIZE = 200_000 * len(ROW)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak memory from /proc")
@pytest.mark.parametrize("purpose", ["user_data", "fine-tune"])
def test_two_hundred_megabytes_pass_in_little_memory(tmp_path, purpose):
    with process(tmp_path) as (url, server):
        upload(url, [ROW], len(ROW), purpose)
        before = peak_memory(server.pid)
        status, made = upload(url, [ROW * 1_000] * 200, SIZE, purpose)
        assert (status, made["bytes"]) == (200, SIZE)
        with urllib.request.urlopen(f"{url}/v1/files/{made['id']}/content") as content:
            got = sum(len(chunk) for chunk in iter(lambda: content.read(MEGABYTE), b""))
        assert got == SIZE
        assert peak_memory(server.pid) - before < 24 * MEGABYTE


@pytest.mark.parametrize(
    ("own_database", "when"),
    [("sqlite", "while it comes"), ("sqlite", "once it is there"), ("postgresql", "once it is there")],
    indirect=["own_database"],
)
def test_a_kill_in_the_middle_leaves_no_torn_file(tmp_path, own_database, when):
    size = 50 * MEGABYTE
    with process(tmp_path, own_database) as (url, server):
        sdk = OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
        kept = sdk.files.create(file=("kept", b"kept"), purpose="user_data")
        with begin(url, size, "user_data") as connection:
            connection.sendall(b"x" * (size // 2 if when == "while it comes" else size))
            await_until(lambda: sum(path.stat().st_size for path in lying(tmp_path)) > 10 * MEGABYTE)
            server.kill()
            server.wait()
        sdk.close()
    with process(tmp_path, own_database) as (url, _), OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        assert [each.id for each in sdk.files.list()] == [kept.id]
        assert sdk.files.content(kept.id).read() == b"kept"
        again = sdk.files.create(file=("again", b"x" * size), purpose="user_data")
        assert again.bytes == size
    placed = {path.name: path.stat().st_size for path in lying(tmp_path) if path.parent.name != "incoming"}
    assert placed == asyncio.run(known(tmp_path, own_database))


async def known(home: Path, database: str | None) -> dict[str, int]:
    """The hash and the size of every file that the database tells of."""
    store = await Store.open(database, home)
    async with store.database.reading() as connection:
        rows = (await connection.execute(select(FILES.c.digest, FILES.c.bytes))).all()
    await store.close()
    return dict(rows)


def test_a_full_disk_is_said_once_and_nothing_is_left(tmp_path):
    small = process(tmp_path, largest_file=5 * MEGABYTE)
    with small as (url, _), OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=2) as sdk:
        kept = sdk.files.create(file=b"small", purpose="user_data")
        error = refusal(sdk.files.create, file=b"x" * 20 * MEGABYTE, purpose="user_data")
        assert (error.status_code, error.code) == (507, "disk_full")
        assert error.response.headers["x-should-retry"] == "false"
        assert len(lying(tmp_path)) == 1
        assert [each.id for each in sdk.files.list()] == [kept.id]


@pytest.mark.slow
def test_what_was_acknowledged_outlives_kills_at_any_moment(tmp_path, own_database):
    """Clients upload, delete, and put parts together while the server is killed again and again."""
    draw, kept, gone = random.Random(7), {}, set()
    for _ in range(8):
        with process(tmp_path, own_database) as (url, server), ThreadPoolExecutor(3) as pool:
            come_and_go(url, draw.random(), kept, gone, most=1)  # the server is awake from here on
            killed = threading.Timer(draw.uniform(0.2, 2.0), server.kill)
            killed.start()
            for clients in [pool.submit(come_and_go, url, draw.random(), kept, gone) for _ in range(3)]:
                clients.result()
            killed.join()
    with process(tmp_path, own_database) as (url, _), OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        listed = {each.id: each for each in sdk.files.list()}
        assert kept
        assert not gone & listed.keys()
        for file_id, digest in kept.items():
            if file_id in listed:
                assert hashlib.sha256(sdk.files.content(file_id).read()).hexdigest() == digest
        unsure = set(kept) - listed.keys()
        assert len(unsure) <= 8 * 3  # deletions that nobody was told of: one a client at most
        for each in listed.values():
            assert len(sdk.files.content(each.id).read()) == each.bytes


def come_and_go(url: str, seed: float, kept: dict[str, str], gone: set[str], most: int = 10_000) -> None:
    """Upload until the server is gone, or so many times; note what it acknowledged."""
    draw = random.Random(seed)
    with OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        try:
            for _ in range(most):
                content = draw.randbytes(draw.choice([10, 5_000, 3_000_000]))
                made = in_parts(sdk, content) if draw.random() < 0.3 else sdk.files.create(file=content, purpose=ANY)
                kept[made.id] = hashlib.sha256(content).hexdigest()
                if draw.random() < 0.3:
                    sdk.files.delete(made.id)
                    gone.add(made.id)
                    del kept[made.id]
        except APIConnectionError:
            return


def in_parts(sdk: OpenAI, content: bytes):
    upload = sdk.uploads.create(filename="a", bytes=len(content), mime_type="text/plain", purpose=ANY)
    half = len(content) // 2
    parts = [sdk.uploads.parts.create(upload.id, data=piece).id for piece in (content[:half], content[half:])]
    return sdk.uploads.complete(upload.id, part_ids=parts).file
