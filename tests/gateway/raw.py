"""A bare connection to a server: bytes sent as no client would send them."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def connection(url: str, seconds: float = 10) -> Generator[socket.socket]:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=seconds) as sock:
        yield sock


def exchange(url: str, data: bytes, seconds: float = 10) -> bytes:
    """What a server says to some bytes until it hangs up or falls silent."""
    with connection(url, seconds) as sock:
        sock.sendall(data)
        return rest(sock)


def rest(sock: socket.socket) -> bytes:
    """All that still comes."""
    received = b""
    try:
        while part := sock.recv(65536):
            received += part
    except (TimeoutError, ConnectionResetError):
        pass
    return received


def breaks_off(sock: socket.socket, part: bytes, times: int, pause: float = 0) -> bool:
    """Whether a server hangs up before some bytes have been sent so many times."""
    try:
        for _ in range(times):
            sock.sendall(part)
            time.sleep(pause)
    except OSError:
        return True
    return False


def status(answer: bytes) -> int:
    """Of the first answer; 0 when there is none."""
    return int(answer.split(b" ", 2)[1]) if answer else 0
