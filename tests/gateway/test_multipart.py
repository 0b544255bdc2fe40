"""Multipart bodies read in pieces of any size, in little memory, with what is wrong named."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from stillhouse.errors import StorageFull
from stillhouse.gateway import multipart
from stillhouse.gateway.multipart import read_form
from stillhouse.wire.errors import WireError

HEAD = b'content-disposition: form-data; name="'


def form(file: bytes, first: bool) -> bytes:
    parts = [HEAD + b'purpose"\r\n\r\nevals', HEAD + 'file"; filename="ü;\\"x.txt"'.encode() + b"\r\n\r\n" + file]
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in (parts if first else parts[::-1]))
    return body + b"--b--\r\n"


def request(chunks, **headers: str) -> Request:
    """A request whose body comes in pieces; None means that the client leaves."""
    coming = iter([*chunks, b""])
    given = {"content-type": "multipart/form-data; boundary=b", **headers}

    async def receive() -> dict:
        chunk = next(coming)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "headers": pairs}, receive)


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    while body:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[:size])
        body = body[size:]
    return pieces


@given(
    file=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from([b"\r\n", b"--b", b"\r", b"-"])).map(b"".join)),
    first=st.booleans(),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
def test_however_a_body_is_cut_the_same_file_is_read(file, first, sizes):
    if b"\r\n--b" in b"\r\n" + file:
        return  # no client chooses a boundary that the file holds
    got = bytearray()

    async def sink(data: bytes) -> None:
        got.extend(data)

    read = asyncio.run(read_form(request(cut(form(file, first), sizes)), "file", sink, 1_000))
    assert bytes(got) == file
    assert read.fields == {"purpose": "evals"}
    assert read.filename == 'ü;"x.txt'


async def test_a_large_file_is_handed_over_in_pieces():
    sizes = []

    async def sink(data: bytes) -> None:
        sizes.append(len(data))

    body = form(b"x" * 5_000_000, first=True)
    await read_form(request(cut(body, [65_536])), "file", sink, 10_000_000)
    assert sum(sizes) == 5_000_000
    assert max(sizes) < multipart.GATHERED + 65_536


async def nothing(data: bytes) -> None:
    pass


@pytest.mark.parametrize("size", [1_001, 3_000_000])
async def test_a_file_beyond_the_limit_is_refused(size):
    with pytest.raises(HTTPException) as caught:
        await read_form(request(cut(form(b"x" * size, first=True), [100_000])), "file", nothing, 1_000)
    assert caught.value.status_code == 413


async def test_a_length_that_is_far_beyond_it_is_refused_unread():
    with pytest.raises(HTTPException):
        await read_form(request([], content_length=str(10**9)), "file", nothing, 1_000)


async def test_who_leaves_is_noticed():
    with pytest.raises(ClientDisconnect):
        await read_form(request([form(b"x", first=True)[:-8], None]), "file", nothing, 1_000)


async def test_who_falls_silent_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(multipart, "SECONDS_SILENT", 0.05)
    quiet = request([])

    async def never() -> dict:
        await asyncio.sleep(60)
        return {}

    with pytest.raises(WireError) as caught:
        await read_form(Request(quiet.scope, never), "file", nothing, 1_000)
    assert caught.value.status == 408


async def test_what_cannot_be_kept_is_said_after_the_body_was_read():
    read = []

    async def full(data: bytes) -> None:
        raise StorageFull("no room")

    def chunks():
        for piece in cut(form(b"x" * 3_000_000, first=True), [500_000]):
            read.append(len(piece))
            yield piece

    with pytest.raises(StorageFull):
        await read_form(request(chunks()), "file", full, 10_000_000)
    assert sum(read) > 3_000_000


async def test_the_name_of_an_old_client_s_file_is_read():
    body = b"--b\r\n" + HEAD + b"file\"; filename*=utf-8''%C3%BC.txt\r\n\r\nx\r\n--b--\r\n"
    assert (await read_form(request([body]), "file", nothing, 1_000)).filename == "ü.txt"
