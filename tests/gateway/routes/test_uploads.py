"""Uploads through the unmodified SDK: parts put together, checked, given up, and gone on with after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import contextmanager

import openai
import pytest
import sqlalchemy as sql
from openai import OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.store import Store
from stillhouse.storage.tables import UPLOADS
from tests.gateway.routes.test_files import lying, refusal
from tests.gateway.serving import Keywords, served

WHOLE = b"".join(b'{"row": %d}\n' % number for number in range(40))
WISH = {"filename": "Über.jsonl", "bytes": len(WHOLE), "mime_type": "text/jsonl", "purpose": "fine-tune"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(database, home):
    with served(create_app(House.of([Keywords()]), Shelf(database, home))) as url:
        yield url


@pytest.fixture
def sdk(url, home):
    with OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        yield sdk
        for file in sdk.files.list():
            sdk.files.delete(file.id)
        assert lying(home) == []


@contextmanager
def started(home, database):
    """A client of a server that has just been started."""
    app = create_app(House.of([Keywords()]), Shelf(database, home))
    with served(app) as url, OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        yield sdk


def sent(sdk, upload, *pieces: bytes) -> list[str]:
    return [sdk.uploads.parts.create(upload.id, data=piece).id for piece in pieces]


def test_parts_become_a_file(sdk):
    upload = sdk.uploads.create(**WISH)
    assert (upload.object, upload.status, upload.bytes, upload.file) == ("upload", "pending", len(WHOLE), None)
    assert (upload.filename, upload.purpose) == ("Über.jsonl", "fine-tune")
    assert upload.expires_at == upload.created_at + 3_600
    part = sdk.uploads.parts.create(upload.id, data=WHOLE[100:])
    assert (part.object, part.upload_id) == ("upload.part", upload.id)
    [first] = sent(sdk, upload, WHOLE[:100])
    md5 = hashlib.md5(WHOLE).hexdigest()
    done = sdk.uploads.complete(upload.id, part_ids=[first, part.id], md5=md5)
    assert (done.status, done.id) == ("completed", upload.id)
    assert sdk.files.retrieve(done.file.id) == done.file
    assert (done.file.filename, done.file.bytes, done.file.purpose) == ("Über.jsonl", len(WHOLE), "fine-tune")
    assert sdk.files.content(done.file.id).read() == WHOLE
    # who missed the answer asks again
    assert sdk.uploads.complete(upload.id, part_ids=[first, part.id]) == done
    assert refusal(sdk.uploads.cancel, upload_id=upload.id).code == "invalid_upload_state"
    assert refusal(sdk.uploads.parts.create, upload_id=upload.id, data=b"x").status_code == 400
    assert [each.id for each in sdk.files.list()] == [done.file.id]


def test_the_sdk_cuts_a_file_by_itself(sdk, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WHOLE)
    done = sdk.uploads.upload_file_chunked(file=path, mime_type="text/jsonl", purpose="evals", part_size=100)
    assert sdk.files.content(done.file.id).read() == WHOLE


def test_the_file_may_be_made_to_expire(sdk):
    after = {"anchor": "created_at", "seconds": 7_200}
    upload = sdk.uploads.create(**{**WISH, "bytes": 2, "purpose": "user_data"}, expires_after=after)
    done = sdk.uploads.complete(upload.id, part_ids=sent(sdk, upload, b"ab"))
    assert done.file.expires_at == done.file.created_at + 7_200


def test_what_is_given_up_leaves_nothing(sdk, home):
    upload = sdk.uploads.create(**WISH)
    sent(sdk, upload, b"half")
    assert sdk.uploads.cancel(upload.id).status == "cancelled"
    assert lying(home) == []
    assert sdk.uploads.cancel(upload.id).status == "cancelled"
    calls = [(sdk.uploads.complete, {"part_ids": ["part_1"]}), (sdk.uploads.parts.create, {"data": b""})]
    for call, arguments in calls:
        error = refusal(call, upload_id=upload.id, **arguments)
        assert (error.status_code, error.code) == (400, "invalid_upload_state")
        assert "cancelled" in error.body["message"]


def test_parts_that_do_not_make_the_file_are_named_and_the_upload_goes_on(sdk):
    upload = sdk.uploads.create(**WISH)
    first, second = sent(sdk, upload, WHOLE[:50], WHOLE[50:])
    other = sdk.uploads.create(**WISH)
    [foreign] = sent(sdk, other, WHOLE)
    for part_ids, md5, param, words in [
        ([first], None, "part_ids", f"announced with {len(WHOLE)}"),
        ([first, first], None, "part_ids[1]", "twice"),
        ([first, foreign], None, "part_ids[1]", "no part"),
        ([], None, "part_ids", "at least 1"),
        ([second, first], None, "file", "line 1"),
        ([first, second], "0" * 32, "md5", hashlib.md5(WHOLE).hexdigest()),
        ([first, second], "none", "md5", "32"),
    ]:
        error = refusal(sdk.uploads.complete, upload_id=upload.id, part_ids=part_ids, **({"md5": md5} if md5 else {}))
        assert (error.status_code, error.param) == (400, param)
        assert words in error.body["message"]
    assert sdk.uploads.complete(upload.id, part_ids=[first, second]).status == "completed"
    sdk.uploads.cancel(other.id)


def test_a_part_that_is_longer_than_the_file_is_refused(sdk):
    upload = sdk.uploads.create(**{**WISH, "bytes": 3})
    assert refusal(sdk.uploads.parts.create, upload_id=upload.id, data=b"1234").param == "data"
    sdk.uploads.cancel(upload.id)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"purpose": "nothing"}, None, "purpose"),
        ({"bytes": 0}, "integer_below_min_value", "bytes"),
        ({"bytes": 8 * 2**30 + 1}, "integer_above_max_value", "bytes"),
        ({"bytes": "3"}, "invalid_type", "bytes"),
        ({"filename": ""}, "invalid_value", "filename"),
        ({"filename": "a\x00b"}, "invalid_value", "filename"),
        ({"filename": None}, "missing_required_parameter", "filename"),
        ({"mime_type": None}, "missing_required_parameter", "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "integer_below_min_value", "expires_after.seconds"),
    ],
)
def test_what_cannot_be_announced(sdk, change, code, param):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.post("/uploads", body={**WISH, **change}, cast_to=object)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_what_is_not_there_is_not_found(sdk):
    for call, arguments in [
        (sdk.uploads.cancel, {}),
        (sdk.uploads.complete, {"part_ids": ["part_1"]}),
        (sdk.uploads.parts.create, {"data": b"x"}),
    ]:
        error = refusal(call, upload_id="upload_never", **arguments)
        assert (error.status_code, error.param) == (404, "id")
        assert error.body["message"] == "No such Upload object: upload_never"


def test_an_upload_is_gone_on_with_after_a_restart(tmp_path, own_database):
    with started(tmp_path, own_database) as sdk:
        upload = sdk.uploads.create(**WISH)
        parts = sent(sdk, upload, WHOLE[:200])
    with started(tmp_path, own_database) as sdk:
        parts += sent(sdk, upload, WHOLE[200:])
    with started(tmp_path, own_database) as sdk:
        done = sdk.uploads.complete(upload.id, part_ids=parts)
        assert sdk.files.content(done.file.id).read() == WHOLE


def test_an_upload_that_nobody_goes_on_with_expires(tmp_path, own_database):
    async def pass_time() -> None:
        store = await Store.open(own_database, tmp_path)
        async with store.database.writing() as connection:
            await connection.execute(sql.update(UPLOADS).values(expires=int(time.time()) - 1))
        await store.close()

    with started(tmp_path, own_database) as sdk:
        upload = sdk.uploads.create(**WISH)
        parts = sent(sdk, upload, WHOLE)
    asyncio.run(pass_time())
    with started(tmp_path, own_database) as sdk:
        error = refusal(sdk.uploads.complete, upload_id=upload.id, part_ids=parts)
        assert (error.status_code, error.code) == (400, "invalid_upload_state")
        assert "expired" in error.body["message"]
        end = time.monotonic() + 10
        while lying(tmp_path):
            assert time.monotonic() < end
            time.sleep(0.05)
