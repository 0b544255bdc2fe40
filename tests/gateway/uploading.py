"""A gateway in a process of its own, to be watched, killed, and given a small disk; and uploads by plain sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import resource, signal, sys
from pathlib import Path
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, served

home, largest, database = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None
if largest:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
with served(create_app(House.of([Keywords()]), Shelf(database, home))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""
BOUNDARY = "xyz"


@contextmanager
def process(
    home: Path, database: str | None = None, largest_file: int = 0
) -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """The URL and the process of a gateway; no file of its may become larger than is said."""
    command = [sys.executable, "-c", SERVER, str(home), str(largest_file), database or ""]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().decode().strip(), server
        finally:
            server.kill()


def peak_memory(pid: int) -> int:
    """The most bytes that a process has had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def begin(url: str, size: int, purpose: str, filename: str = "big.jsonl") -> socket.socket:
    """A connection on which a file of so many bytes is about to come."""
    head = (
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    )
    length = len(head) + size + len(tail())
    connection = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=60)
    connection.sendall(
        f"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n{head}".encode()
    )
    return connection


def tail() -> bytes:
    return f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(url: str, pieces: Iterable[bytes], size: int, purpose: str) -> tuple[int, dict]:
    """Send a file piece by piece; status and answer."""
    with begin(url, size, purpose) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.sendall(tail())
        answer = bytearray()
        while chunk := connection.recv(65_536):
            answer += chunk
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
