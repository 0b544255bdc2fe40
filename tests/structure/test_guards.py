"""The guards of conftest.py do guard: no word leaves the machine, and CI skips nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure.source import ROOT


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("10.0.0.1", 80), ("example.org", 80)], ids=str)
def test_a_connection_to_another_machine_is_refused(address):
    with socket.socket() as sock, pytest.raises(RuntimeError, match="only speak to this machine"):
        sock.connect(address)


def test_so_is_a_look_up():
    with pytest.raises(RuntimeError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 443)


async def test_this_machine_may_be_spoken_to():
    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        writer.write(b"hello\n")
        assert await reader.read() == b"hello\n"
        writer.close()
        await writer.wait_closed()


SKIPPING = """
import pytest
def test_lacks_a_part():
    pytest.skip("needs a browser")
@pytest.mark.xfail
def test_is_known_to_fail():
    assert False
"""


@pytest.mark.parametrize(("ci", "code", "told"), [("true", 1, "CI must not skip"), ("", 0, "1 skipped")])
def test_a_skip_fails_only_in_ci(ci, code, told, tmp_path):
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "."]
    environment = {**os.environ, "CI": ci}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout
    assert told in done.stdout
    assert "needs a browser" in done.stdout or not ci


def test_no_test_is_marked_to_be_skipped_always():
    unconditional = "@pytest.mark." + "skip("
    assert [str(path) for path in Path(ROOT / "tests").rglob("*.py") if unconditional in path.read_text()] == []
