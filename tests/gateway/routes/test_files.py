"""Files through the unmodified SDK: uploaded, listed, read and deleted; what is wrong is named and leaves nothing."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.serving import Keywords, served, status_of

ROWS = b'{"messages": []}\n\n{"messages": [1]}\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(database, home):
    with served(create_app(House.of([Keywords()]), Shelf(database, home))) as url:
        yield url


@pytest.fixture
def sdk(url):
    with OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        yield sdk
        for file in sdk.files.list():
            sdk.files.delete(file.id)


def lying(home: Path) -> list[Path]:
    return [path for path in (home / "blobs").rglob("*") if path.is_file() and path.name != "held"]


def refusal(call, **arguments) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call(**arguments)
    return caught.value


def test_a_file_comes_back_as_it_was_sent(sdk, home):
    made = sdk.files.create(file=("Übung 🙂 (1).jsonl", ROWS), purpose="fine-tune")
    assert made.model_dump() == {
        "id": made.id,
        "object": "file",
        "bytes": len(ROWS),
        "created_at": made.created_at,
        "filename": "Übung 🙂 (1).jsonl",
        "purpose": "fine-tune",
        "status": "processed",
        "expires_at": None,
        "status_details": None,
    }
    assert made.id.startswith("file-")
    assert abs(made.created_at - time.time()) < 10
    assert sdk.files.retrieve(made.id) == made
    assert sdk.files.wait_for_processing(made.id) == made
    content = sdk.files.content(made.id)
    assert content.read() == ROWS
    assert content.response.headers["content-length"] == str(len(ROWS))
    gone = sdk.files.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "file", True)
    assert lying(home) == []


@pytest.mark.parametrize("file", [b"{}", io.BytesIO(b"{}"), ("name", b"{}", "text/plain"), Path(__file__)])
def test_the_sdk_may_send_it_in_any_way(sdk, file):
    made = sdk.files.create(file=file, purpose="user_data")
    assert made.filename == {bytes: "upload", io.BytesIO: "upload", tuple: "name"}.get(type(file), "test_files.py")


def test_bytes_in_memory_may_have_a_name(sdk):
    rows = io.BytesIO(ROWS)
    rows.name = "train.jsonl"
    assert sdk.files.create(file=rows, purpose="evals").filename == "train.jsonl"


def test_an_empty_file_is_a_file(sdk):
    made = sdk.files.create(file=("empty", b""), purpose="user_data")
    assert made.bytes == 0
    assert sdk.files.content(made.id).read() == b""


async def test_the_asynchronous_client_does_the_same(url, sdk):
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        made = await client.files.create(file=("a.jsonl", ROWS), purpose="batch")
        assert (await client.files.content(made.id)).read() == ROWS
        assert [each.id async for each in client.files.list()] == [made.id]


def test_pages_by_purpose_order_and_place(sdk):
    made = [
        sdk.files.create(file=(f"{number}.jsonl", ROWS), purpose=("evals", "fine-tune")[number % 2])
        for number in range(5)
    ]
    names = [each.filename for each in made]
    assert [each.filename for each in sdk.files.list()] == names[::-1]
    assert [each.filename for each in sdk.files.list(limit=2, order="asc")] == names
    page = sdk.files.list(limit=2)
    assert page.has_more is True
    assert (page.model_extra["first_id"], page.model_extra["last_id"]) == (made[4].id, made[3].id)
    assert [each.filename for each in sdk.files.list(purpose="evals")] == names[4::-2]
    assert sdk.files.list(purpose="vision").data == []
    sdk.files.delete(made[3].id)
    assert sdk.files.list(after=made[3].id).data[0].id == made[2].id
    assert sdk.files.list(limit=10_000).has_more is False
    for query, code in [({"limit": 10_001}, "integer_above_max_value"), ({"after": "file-never"}, "invalid_value")]:
        error = refusal(sdk.files.list, **query)
        assert (error.status_code, error.code) == (400, code)


def test_a_file_may_be_made_to_expire(sdk):
    after = {"anchor": "created_at", "seconds": 3_600}
    made = sdk.files.create(file=b"x", purpose="user_data", expires_after=after)
    assert made.expires_at == made.created_at + 3_600
    batch = sdk.files.create(file=b"{}", purpose="batch")
    assert batch.expires_at == batch.created_at + 2_592_000


@pytest.mark.parametrize(
    ("after", "code", "param"),
    [
        ({"anchor": "created_at", "seconds": 3_599}, "integer_below_min_value", "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": 2_592_001}, "integer_above_max_value", "expires_after.seconds"),
        ({"anchor": "last_active_at", "seconds": 3_600}, "invalid_value", "expires_after.anchor"),
        ({"anchor": "created_at", "seconds": "soon"}, "invalid_type", "expires_after.seconds"),
        ({"anchor": "created_at"}, "missing_required_parameter", "expires_after.seconds"),
        ({"seconds": 3_600}, "missing_required_parameter", "expires_after.anchor"),
    ],
)
def test_but_only_in_the_ways_there_are(sdk, home, after, code, param):
    error = refusal(sdk.files.create, file=b"x", purpose="user_data", expires_after=after)
    assert (error.status_code, error.code, error.param) == (400, code, param)
    assert lying(home) == []


def test_a_purpose_that_there_is_not(sdk, home):
    error = refusal(sdk.files.create, file=b"x", purpose="fine-tune-results")
    purposes = "['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals']"
    assert error.body["message"] == f"'fine-tune-results' is not one of {purposes} - 'purpose'"
    assert (error.status_code, error.param, error.code, error.type) == (400, "purpose", None, "invalid_request_error")
    assert lying(home) == []


@pytest.mark.parametrize("purpose", ["fine-tune", "evals", "batch"])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (b'{"a": 1}\n[1]\n', "line 2: it is not a JSON object"),
        (b'{"a": 1}\r\n{"a": ', "line 2: it is no JSON"),
        (b'{"a": "\xff"}', "line 1: it is no JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b'{"a": NaN}', "line 1"),
    ],
)
def test_rows_that_are_none_are_named_by_line(sdk, home, purpose, rows, words):
    error = refusal(sdk.files.create, file=("bad.jsonl", rows), purpose=purpose)
    assert (error.status_code, error.code, error.param) == (400, "invalid_file_format", "file")
    assert "bad.jsonl" in error.body["message"]
    assert words in error.body["message"]
    assert lying(home) == []


def test_what_is_not_there_is_not_found(sdk):
    for call in (sdk.files.retrieve, sdk.files.delete, sdk.files.content):
        error = refusal(call, file_id="file-never")
        assert isinstance(error, openai.NotFoundError)
        assert error.body["message"] == "No such File object: file-never"
        assert (error.param, error.code) == ("id", None)


@pytest.mark.parametrize("path", ["x" * 500, "%00", "%C3%A4", "a%2Fb"])
def test_what_can_be_no_id_is_not_found_either(url, path):
    assert status_of(f"{url}/v1/files/{path}") == 404


BOUNDARY = "xyz"
HEAD = f"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n"


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    more = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def send(url: str, body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}", **headers) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("POST", "/v1/files", body, {"content-type": kind, **headers})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


END = f"--{BOUNDARY}--\r\n".encode()
PURPOSE, FILE = part("purpose", b"user_data"), part("file", b"x", "a.txt")


@pytest.mark.parametrize("body", [PURPOSE + FILE, FILE + PURPOSE, part("new", b"option") + FILE + PURPOSE])
def test_the_parts_may_come_in_any_order_and_unknown_ones_are_let_be(url, sdk, body):
    status, made = send(url, body + END)
    assert (status, made["filename"], made["bytes"]) == (200, "a.txt", 1)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (FILE + END, "missing_required_parameter", "purpose"),
        (PURPOSE + END, "missing_required_parameter", "file"),
        (PURPOSE + part("file", b"x") + END, "invalid_type", "file"),
        (PURPOSE + FILE + FILE + END, "invalid_value", "file"),
        (PURPOSE + FILE + part("other", b"x", "b.txt") + END, "invalid_type", "other"),
        (PURPOSE + part("file", b"x", "") + END, "invalid_value", "file"),
        (PURPOSE + part("file", b"x", "n" * 513) + END, "string_above_max_length", "file"),
        (part("purpose", b"x" * 70_000) + FILE + END, "invalid_value", "purpose"),
        (PURPOSE + FILE, "invalid_multipart", None),
        (PURPOSE + FILE[:-4], "invalid_multipart", None),
        (b"no form at all", "invalid_multipart", None),
        (b"", "invalid_multipart", None),
        (40 * part("a", b"x") + END, "invalid_multipart", None),
    ],
)
def test_a_form_that_is_wrong_is_refused_and_leaves_nothing(url, home, body, code, param):
    status, answer = send(url, body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param)
    assert lying(home) == []


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", ""])
def test_so_is_what_is_no_form(url, kind):
    status, answer = send(url, b"{}", kind)
    assert (status, answer["error"]["code"]) == (400, "invalid_content_type")


def test_who_leaves_in_the_middle_leaves_nothing(url, home):
    body = PURPOSE + part("file", b"x" * 3_000_000, "a.txt") + END
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
        connection.sendall(f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body[:2_500_000])
        await_until(lambda: [path for path in lying(home) if path.stat().st_size])
    await_until(lambda: lying(home) == [])


def await_until(holds, seconds: float = 10) -> None:
    """Wait until something holds; a test that waits in vain fails."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_body_that_says_it_is_far_too_large_is_refused_before_it_comes(url):
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
        connection.sendall(f"{HEAD}content-length: {2**31}\r\n\r\n".encode())
        answer = connection.recv(65_536)
        while b"}}" not in answer:
            answer += connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"512 MiB" in answer


def test_no_project_reaches_the_files_of_another(tmp_path, own_database):
    async def make_keys() -> list[str]:
        store = await Store.open(own_database, tmp_path)
        made = [(await store.keys.create(name, name, [Scope.ADMIN]))[1] for name in ("p", "q")]
        await store.close()
        return made

    shelf = Shelf(own_database, tmp_path)
    mine, theirs = [partial(OpenAI, api_key=key, max_retries=0) for key in asyncio.run(make_keys())]
    app = create_app(House.of([Keywords()]), shelf, Gate(shelf))
    with served(app) as url, mine(base_url=f"{url}/v1") as owner, theirs(base_url=f"{url}/v1") as other:
        made = owner.files.create(file=b"mine", purpose="user_data")
        upload = owner.uploads.create(filename="a", bytes=4, mime_type="text/plain", purpose="user_data")
        assert list(other.files.list()) == []
        for call in (other.files.retrieve, other.files.content, other.files.delete):
            assert refusal(call, file_id=made.id).status_code == 404
        assert refusal(other.files.list, after=made.id).status_code == 400
        assert refusal(other.uploads.parts.create, upload_id=upload.id, data=b"x").status_code == 404
        assert refusal(other.uploads.cancel, upload_id=upload.id).status_code == 404
        assert owner.files.content(made.id).read() == b"mine"
        # the same bytes in two projects are two files, and one stays when the other goes
        copy = other.files.create(file=b"mine", purpose="user_data")
        owner.files.delete(made.id)
        assert other.files.content(copy.id).read() == b"mine"
