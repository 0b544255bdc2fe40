"""Blobs: whole or not at all, each once, kept while they are held; what killed programs left is removed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from stillhouse.errors import StorageError, StorageFull
from stillhouse.storage.blobs import Blobs
from stillhouse.storage.file_records import Blob

WRITER = """
import asyncio, sys
from pathlib import Path
from stillhouse.storage.blobs import Blobs

async def write():
    async with Blobs(Path(sys.argv[1])).draft() as draft:
        await draft.write(b"x" * 100_000)
        print("half", flush=True)
        await asyncio.sleep(60)

asyncio.run(write())
"""
SMALL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from stillhouse.errors import StorageFull
from stillhouse.storage.blobs import Blobs

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

async def write():
    try:
        async with Blobs(Path(sys.argv[1])).draft() as draft:
            for _ in range(100):
                await draft.write(b"x" * 10_000)
    except StorageFull as error:
        print(error)

asyncio.run(write())
"""


@pytest.fixture
def blobs(tmp_path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def there(blobs: Blobs) -> list[str]:
    """The files that lie in the folder, but for the lock."""
    return sorted(path.name for path in blobs.folder.rglob("*") if path.is_file() and path.name != "held")


async def kept(blobs: Blobs, data: bytes) -> Blob:
    async with blobs.draft() as draft:
        await draft.write(data)
        blob = await draft.seal()
        blobs.keep(draft, blob)
    return blob


async def test_what_was_written_is_found_by_its_hash(blobs):
    blob = await kept(blobs, b"some bytes")
    assert blob == Blob(hashlib.sha256(b"some bytes").hexdigest(), 10)
    with blobs.open(blob) as file:
        assert file.read() == b"some bytes"
    assert blobs.path(blob.digest).stat().st_mode & 0o777 == 0o600


async def test_the_same_bytes_lie_there_once(blobs):
    assert await kept(blobs, b"same") == await kept(blobs, b"same")
    assert len(there(blobs)) == 1


async def test_a_draft_that_is_left_leaves_nothing(blobs):
    draft = blobs.draft()

    async def half() -> None:
        async with draft:
            await draft.write(b"half")
            assert len(there(blobs)) == 1
            raise EOFError

    with pytest.raises(EOFError):
        await half()
    assert there(blobs) == []
    with pytest.raises(StorageError):
        await draft.write(b"more")


async def test_lines_are_read_one_by_one_and_none_for_ever(blobs):
    async with blobs.draft() as draft:
        await draft.write(b"one\n\n" + b"x" * 50 + b"\nlast")
        assert [len(line) for line in draft.lines(20)] == [4, 1, 21, 21, 9, 4]


async def test_bytes_that_are_gone_are_missed(blobs):
    blob = await kept(blobs, b"here")
    blobs.remove(blob.digest)
    with pytest.raises(StorageError, match="home folder"):
        blobs.open(blob)


async def test_nothing_is_removed_while_it_is_held(blobs):
    blob = await kept(blobs, b"here")
    with blobs.held(), blobs.held():
        blobs.remove(blob.digest)
        assert there(blobs) == [blob.digest]
    assert blobs.leftovers(time.time() + 1) == [blob.digest]
    assert blobs.leftovers(time.time() - 60) == []
    blobs.remove(blob.digest)
    assert there(blobs) == []


def test_a_killed_writer_leaves_no_torn_bytes_and_its_draft_is_removed(blobs):
    running = subprocess.Popen([sys.executable, "-c", WRITER, str(blobs.folder)], stdout=subprocess.PIPE)
    assert running.stdout
    assert running.stdout.readline() == b"half\n"
    [draft] = blobs.folder.glob("incoming/*")
    long_ago = time.time() - 1_000
    os.utime(draft, (long_ago, long_ago))
    blobs.drop_drafts()
    assert draft.exists()  # somebody writes it still
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    assert there(blobs) == [draft.name]
    blobs.drop_drafts()
    assert there(blobs) == []


def test_a_full_disk_is_said_and_nothing_is_left(blobs):
    done = subprocess.run([sys.executable, "-c", SMALL_DISK, str(blobs.folder)], capture_output=True, text=True)
    assert "no room" in done.stdout, done.stderr
    assert there(blobs) == []


def test_there_is_no_room_for_more_than_the_disk_has(blobs):
    blobs.check_room(1)
    with pytest.raises(StorageFull, match="no room"):
        blobs.check_room(10**18)


def test_bytes_are_put_at_once_by_who_is_in_a_thread(blobs):
    blob = blobs.put(iter([b"ab", b"c"]))
    assert blob == blobs.put([b"abc"]) == Blob(hashlib.sha256(b"abc").hexdigest(), 3)
    assert blobs.path(blob.digest).read_bytes() == b"abc"
    assert not list(blobs.folder.glob("incoming/*"))
    long_ago = time.time() - 10_000
    os.utime(blobs.path(blob.digest), (long_ago, long_ago))
    blobs.put([b"abc"])
    assert blobs.leftovers(time.time() - 1_000) == []  # bytes that are put again are new again


def test_bytes_that_cannot_be_put_leave_nothing(blobs):
    def torn():
        yield b"half"
        raise OSError("the disk was pulled")

    with pytest.raises(StorageError, match="cannot be kept"):
        blobs.put(torn())
    assert not list(blobs.folder.glob("incoming/*"))
