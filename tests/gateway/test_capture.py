"""Calls with `store: true` through the unmodified SDK: answers of students and teachers are kept, streamed ones too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.storage.records import Wanted
from stillhouse.storage.store import Store
from stillhouse.storage.writer import Limits, Writer
from stillhouse.teachers.api import TeacherApi
from stillhouse.teachers.asking import Patience
from tests.gateway.serving import Keywords, Teacher, cascade_of, prompt, served
from tests.storage.databases import KINDS, is_made

MODEL = "desk/triage"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@contextmanager
def keeping(shelf: Shelf, teacher: Teacher) -> Generator[str]:
    """The URL of a gateway with a teacher and a shelf, which is left empty for the next."""
    with served(teacher.app()) as upstream:
        api = TeacherApi(upstream, "large-1", "key", Patience(total=1.0, first_wait=0.01))
        with served(create_app(cascade_of(api), shelf)) as url:
            yield url
            with OpenAI(base_url=f"{url}/v1", api_key="k") as sdk:
                for each in sdk.chat.completions.list():
                    sdk.chat.completions.delete(each.id)


@pytest.fixture
def kept(database, home, teacher: Teacher):
    """The URL of a gateway with a teacher and a shelf."""
    with keeping(Shelf(database, home), teacher) as url:
        yield url


@pytest.fixture(params=KINDS)
def nowhere(request, tmp_path) -> tuple[str | None, Path]:
    """A database that cannot be had, and its home folder."""
    if request.param == "postgresql":
        return f"{request.getfixturevalue('postgres_url')}/nowhere", tmp_path
    (tmp_path / "file").write_text("in the way")
    return None, tmp_path / "file" / "home"


def create(sdk, text: str, **options):
    return sdk.chat.completions.create(model=MODEL, messages=prompt(text), store=True, **options)


def stored(sdk, **filters) -> list:
    return list(sdk.chat.completions.list(**filters))


def test_a_student_s_answer_is_there_at_once(kept, client):
    sdk = client(kept)
    answer = create(sdk, "refund", metadata={"tag": "a"}, temperature=0.5, seed=7, user="ann")
    found = sdk.chat.completions.retrieve(answer.id)
    assert found.choices[0].message.content == '{"intent": "refund", "priority": "low"}'
    assert (found.model, found.created, found.metadata) == (answer.model, answer.created, {"tag": "a"})
    assert found.usage.total_tokens == answer.usage.total_tokens
    extra = found.model_extra
    assert (extra["temperature"], extra["seed"], extra["input_user"]) == (0.5, 7, "ann")
    assert extra["request_id"] == answer._request_id


def test_only_what_asks_for_it_is_kept(kept, client):
    sdk = client(kept)
    sdk.chat.completions.create(model=MODEL, messages=prompt("refund"), metadata={"tag": "a"})
    sdk.chat.completions.create(model=MODEL, messages=prompt("refund"), store=False)
    assert stored(sdk) == []


def test_a_teacher_s_answer_is_kept_under_an_id_of_ours(kept, client, teacher):
    sdk = client(kept)
    answers = [create(sdk, "maybe", metadata={"tag": "a"}) for _ in range(2)]
    assert [each.choices[0].message.content for each in answers] == ["teacher says"] * 2
    ids = [answer.id for answer in answers]
    assert "chatcmpl-t" not in ids
    assert [row.id for row in stored(sdk, model="large-1")] == ids[::-1]
    assert [row.id for row in stored(sdk, model=MODEL)] == ids[::-1]
    assert all({"store", "metadata"}.isdisjoint(asked) for asked in teacher.asked), "the teacher need not keep it too"


@pytest.mark.parametrize("text", ["refund", "maybe"])
def test_a_stream_is_kept_whole(kept, client, text):
    sdk = client(kept)
    chunks = list(create(sdk, text, stream=True, metadata={"tag": "s"}))
    told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    [row] = stored(sdk, metadata={"tag": "s"})
    assert {chunk.id for chunk in chunks} == {row.id}
    assert row.choices[0].message.content == told
    assert row.choices[0].finish_reason == "stop"


def test_a_kept_stream_can_be_put_together_by_the_sdk(kept, client):
    with client(kept).chat.completions.stream(model=MODEL, messages=prompt("maybe"), store=True) as stream:
        whole = stream.get_final_completion()
    assert whole.choices[0].message.content == "teacher says"


def test_several_answers_and_log_probabilities_are_kept(kept, client):
    sdk = client(kept)
    answer = create(sdk, "refund", n=2, logprobs=True, top_logprobs=2)
    found = sdk.chat.completions.retrieve(answer.id)
    assert [choice.index for choice in found.choices] == [0, 1]
    assert found.choices[1].logprobs == answer.choices[1].logprobs


def test_what_breaks_off_is_not_kept(kept, client, teacher):
    teacher.mood, sdk = "dying", client(kept)
    with pytest.raises(openai.APIError) as caught:
        list(create(sdk, "maybe", stream=True))
    assert caught.value.code == "teacher_unavailable"
    assert stored(sdk) == []


def test_what_the_client_leaves_is_not_kept(kept, client, teacher):
    teacher.mood, sdk = "endless", client(kept)
    stream = create(sdk, "maybe", stream=True)
    next(iter(stream))
    stream.close()
    assert teacher.hung_up.wait(2)
    assert stored(sdk) == []


def test_a_refused_call_is_not_kept(kept, client, teacher):
    teacher.mood, sdk = "strict", client(kept)
    with pytest.raises(openai.AuthenticationError):
        create(sdk, "maybe")
    assert stored(sdk) == []


def test_wrong_metadata_are_refused_before_anybody_is_asked(kept, client, teacher):
    sdk = client(kept)
    with pytest.raises(openai.BadRequestError) as caught:
        create(sdk, "maybe", metadata={"a": "x" * 513})
    assert (caught.value.code, caught.value.param) == ("string_above_max_length", "metadata.a")
    assert teacher.asked == []


def test_without_a_shelf_the_teacher_is_told_to_store(cascade, client, teacher):
    create(client(cascade), "maybe", metadata={"tag": "a"})
    assert (teacher.asked[0]["store"], teacher.asked[0]["metadata"]) == (True, {"tag": "a"})


def test_a_database_that_cannot_be_had_is_an_error_of_the_server_and_stops_nothing_else(nowhere, client):
    with served(create_app(House.of([Keywords()]), shelf=Shelf(*nowhere))) as url:
        sdk = client(url)
        with pytest.raises(openai.InternalServerError) as caught:
            create(sdk, "refund")
        assert caught.value.code == "storage_error"
        for detail in (str(nowhere[1]), "postgresql:", "nowhere"):
            assert detail not in str(caught.value.body)
        assert sdk.chat.completions.create(model=MODEL, messages=prompt("refund")).model == MODEL


def test_too_much_is_429_with_the_time_to_wait(database, home, client, monkeypatch):
    monkeypatch.setattr(Writer.__init__, "__defaults__", (*Writer.__init__.__defaults__[:-1], Limits(writes=0)))
    with served(create_app(House.of([Keywords()]), shelf=Shelf(database, home))) as url:
        with pytest.raises(openai.RateLimitError) as caught:
            create(client(url), "refund")
        assert caught.value.code == "storage_busy"
        assert caught.value.response.headers["retry-after"] == "1"


@pytest.fixture
def every(database, home, teacher: Teacher):
    """The URL of a gateway with a teacher that keeps every call."""
    with keeping(Shelf(database, home, policy=Policy(every=True)), teacher) as url:
        yield url


def test_every_call_can_be_kept_but_one_that_says_no(every, client, teacher):
    sdk = client(every)
    calls = ({}, {"metadata": {"tag": "a"}}, {"store": False}, {"metadata": {"a": 5}}, {"stream": True})
    for options in calls:
        answer = sdk.chat.completions.create(model=MODEL, messages=prompt("maybe"), **options)
        if options.get("stream"):
            assert "".join(chunk.choices[0].delta.content or "" for chunk in answer) == "teacher says"
    assert [row.metadata for row in stored(sdk)] == [{}, {}, {"tag": "a"}, {}]
    assert teacher.asked[1]["metadata"] == {"tag": "a"}, "what is not asked of us goes on unchanged"


def test_who_did_not_ask_is_answered_also_when_nothing_can_be_kept(nowhere, client):
    with served(create_app(House.of([Keywords()]), shelf=Shelf(*nowhere, policy=Policy(every=True)))) as url:
        sdk = client(url)
        assert sdk.chat.completions.create(model=MODEL, messages=prompt("refund")).model == MODEL
        with pytest.raises(openai.InternalServerError):
            create(sdk, "refund")


def test_the_database_is_made_by_the_first_call_that_needs_it(own_database, tmp_path, client):
    place = (own_database, tmp_path / "home")
    with served(create_app(House.of([Keywords()]), shelf=Shelf(*place))) as url:
        sdk = client(url)
        sdk.chat.completions.create(model=MODEL, messages=prompt("refund"))
        with pytest.raises(openai.NotFoundError):
            sdk.chat.completions.create(model="nobody", messages=prompt("refund"), store=True)
        assert not place[1].exists()
        assert not is_made(*place)
        answer = create(sdk, "refund")
    assert is_made(*place)
    with served(create_app(House.of([Keywords()]), shelf=Shelf(*place))) as url:
        assert client(url).chat.completions.retrieve(answer.id).id == answer.id


def test_pictures_and_tools_are_kept_as_they_were_asked(kept, client):
    sdk = client(kept)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]
    answer = sdk.chat.completions.create(model=MODEL, messages=messages, tools=[tool], store=True)
    found = sdk.chat.completions.retrieve(answer.id)
    assert found.model_extra["tools"] == [tool]
    raw = sdk.chat.completions.messages.with_raw_response.list(answer.id).http_response.json()
    assert raw["data"][0]["content"] == "What is it?"
    assert raw["data"][0]["content_parts"][1]["image_url"] == picture["image_url"]
    assert json.dumps(raw).count("data:image/png") == 1


def test_the_time_it_was_made_is_ours_where_a_teacher_tells_none(kept, client):
    sdk = client(kept)
    before = int(time.time())
    answer = create(sdk, "refund")
    assert before <= sdk.chat.completions.retrieve(answer.id).created <= time.time()


@pytest.mark.parametrize(
    ("named", "subject"),
    [
        ({"user": "ann"}, "ann"),
        ({"safety_identifier": "hash-of-ann"}, "hash-of-ann"),
        ({"user": "ann", "metadata": {"subject": "patient-7"}}, "patient-7"),
        ({}, None),
    ],
)
def test_whom_a_call_is_about_is_kept_and_finds_it(database, home, kept, client, named, subject):
    sdk = client(kept)
    answer = create(sdk, "refund", **named)
    shown = sdk.chat.completions.retrieve(answer.id).model_extra
    assert shown.get("safety_identifier") == named.get("safety_identifier")

    async def look() -> tuple[str | None, list[str]]:
        store = await Store.open(database, home)
        try:
            found = await store.completions.get("default", answer.id)
            assert found is not None
            return found.subject, await store.completions.ids("default", Wanted(subject=subject))
        finally:
            await store.close()

    kept_subject, ids = asyncio.run(look())
    assert kept_subject == subject
    assert answer.id in ids
