"""Redaction at capture: what is kept is redacted, what the client gets is not, streamed or whole."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stillhouse.data.personal.span import How, Type
from stillhouse.data.sealing import key_of, reveal
from stillhouse.gateway.app import create_app
from stillhouse.gateway.furnish import furnish
from stillhouse.gateway.redaction import redactors_for
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.recipes.server import ServerFile, TeacherSection
from tests.gateway.serving import completion, event, served
from tests.storage.databases import kept_bytes

CARD, MAIL, PHONE = "4111 1111 1111 1111", "ann.lee@example.org", "+44 20 7946 0958"
ASKED = [{"role": "user", "content": f"I am Ann Lee, my card is {CARD}."}]
SAID = f"Write to {MAIL} or call {PHONE}."


def teacher() -> Starlette:
    """An API that says something personal; streamed, it cuts the address in two."""

    async def answer(request: Request) -> Response:
        if json.loads(await request.body()).get("stream"):
            parts = [
                event({"role": "assistant", "content": SAID[:15]}),
                event({"content": SAID[15:]}),
                event({}, "stop"),
            ]
            return Response(b"".join(parts) + b"data: [DONE]\n\n", media_type="text/event-stream")
        return JSONResponse(completion(SAID))

    return Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])


@contextmanager
def gateway(database: str | None, home: Path, how: How, **options: Any) -> Generator[str]:
    redactors = options.get("redactors") or redactors_for(how, options.get("types", ()), home)
    policy = Policy(every=True, redactors=redactors)
    with served(teacher()) as api:
        section = TeacherSection(base_url=f"{api}/v1", models={"large": "large"})
        house = furnish(ServerFile(teachers={"far": section}), [])
        with served(create_app(house, Shelf(database, home, policy=policy))) as url:
            yield url


def messages(sdk: Any, id: str) -> list[str]:
    """What was asked in a stored call; the SDK's own type knows assistants alone."""
    raw = sdk.chat.completions.messages.with_raw_response.list(id).http_response.json()
    return [each["content"] for each in raw["data"]]


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_gets_everything_and_nothing_of_it_is_kept(stream, own_database, tmp_path, client):
    with gateway(own_database, tmp_path, How.REDACT) as url:
        sdk = client(url)
        metadata = {"mail": MAIL, "subject": "customer-7", "phone_number": "5551234567"}
        call = {"model": "large", "messages": ASKED, "store": True, "metadata": metadata}
        if stream:
            chunks = sdk.chat.completions.create(stream=True, **call)
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        else:
            said = sdk.chat.completions.create(**call).choices[0].message.content
        assert said == SAID
        [row] = sdk.chat.completions.list()
        assert row.choices[0].message.content == "Write to [EMAIL] or call [PHONE]."
        assert row.metadata == {"mail": "[EMAIL]", "subject": "customer-7", "phone_number": "[PHONE]"}
        [message] = messages(sdk, row.id)
        assert message == "I am [PERSON], my card is [CARD]."
    raw = kept_bytes(own_database, tmp_path)
    for word in (CARD, MAIL, PHONE, "Ann Lee", "5551234567"):
        assert word.encode() not in raw, word


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_a_long_call_is_redacted_as_well(own_database, tmp_path, client):
    with gateway(own_database, tmp_path, How.REDACT) as url:
        sdk = client(url)
        long = [{"role": "user", "content": f"{'very ' * 10_000} long, {MAIL}"}]
        sdk.chat.completions.create(model="large", messages=long, store=True)
        [row] = sdk.chat.completions.list()
        [message] = messages(sdk, row.id)
        assert message.endswith("very  long, [EMAIL]")


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_what_is_sealed_opens_with_the_key_of_the_project(own_database, tmp_path, client):
    with gateway(own_database, tmp_path, How.VAULT, types=("card",)) as url:
        sdk = client(url)
        sdk.chat.completions.create(model="large", messages=ASKED, store=True)
        [row] = sdk.chat.completions.list()
        [message] = messages(sdk, row.id)
        assert row.choices[0].message.content == SAID
        assert CARD not in message
        assert reveal(message, key_of(tmp_path, "default", make=False)) == ASKED[0]["content"]


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_what_is_said_of_an_answer_is_kept_redacted(own_database, tmp_path, client):
    told = {"correction": f"Ask Ann Lee, {MAIL}.", "comment": f"her card is {CARD}", "reviewer": "ada"}
    with gateway(own_database, tmp_path, How.REDACT) as url, requests.Session() as http:
        call = client(url).chat.completions.create(model="large", messages=ASKED, store=True).id
        said = {"completion_id": call, **told, "rejected": {"content": MAIL}, "metadata": {"phone": "5551234567"}}
        key = {"idempotency-key": "once"}
        made = http.post(f"{url}/v1/feedback", json=said, headers=key).json()
        assert http.post(f"{url}/v1/feedback", json=said, headers=key).json() == made
        assert made["correction"]["content"] == "Ask [PERSON], [EMAIL]."
        assert made["rejected"]["content"] == "[EMAIL]"
        assert (made["comment"], made["reviewer"]) == ("her card is [CARD]", "ada")
        assert made["metadata"] == {"phone": "[PHONE]"}
    for word in (CARD, MAIL, "Ann Lee", "5551234567"):
        assert word.encode() not in kept_bytes(own_database, tmp_path), word


ODD = ["[" * 600 + f'"{MAIL}"' + "]" * 600, f'{{"a": "\\ud83d é {MAIL}"}}', f"ＤＥ89 3704 0044 0532 0130 00 {MAIL}"]


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", list(How))
def test_texts_of_odd_forms_are_answered_and_kept_redacted(how, own_database, tmp_path, client):
    with gateway(own_database, tmp_path, how) as url:
        sdk = client(url)
        for words in ODD:
            sdk.chat.completions.create(model="large", messages=[{"role": "user", "content": words}])
        rows = list(sdk.chat.completions.list())
        assert len(rows) == len(ODD)
        assert not any(MAIL in message for row in rows for message in messages(sdk, row.id))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_what_cannot_be_redacted_is_not_kept_and_answered_where_nobody_asked(
    stream, own_database, tmp_path, client, caplog
):
    """The key of the project was damaged while the server ran."""
    (tmp_path / "redaction").mkdir()
    (tmp_path / "redaction" / "damaged.key").write_bytes(b"short")

    def redactors(project: str) -> Any:
        return key_of(tmp_path, "damaged")

    def said(sdk: Any, **call: Any) -> str:
        told = sdk.chat.completions.create(model="large", messages=ASKED, stream=stream, **call)
        if not stream:
            return told.choices[0].message.content
        return "".join(chunk.choices[0].delta.content or "" for chunk in told if chunk.choices)

    with gateway(own_database, tmp_path, How.HASH, redactors=redactors) as url:
        sdk = client(url)
        assert said(sdk) == SAID
        assert "is damaged" in caplog.text
        with pytest.raises(openai.APIError, match="its log says why"):
            said(sdk, store=True)
        assert list(sdk.chat.completions.list()) == []
    assert CARD not in caplog.text


def test_what_was_said_again_by_its_key_is_not_kept_unredacted(tmp_path):
    assert Policy().keeps_words
    assert not Policy(content=False).keeps_words
    assert not Policy(redactors=redactors_for(How.REDACT, (), tmp_path)).keeps_words
    assert not Policy(redact=str.upper).keeps_words


def test_projects_have_keys_of_their_own(tmp_path):
    of = redactors_for(How.HASH, [Type.EMAIL], tmp_path)
    assert of("one")(MAIL) != of("two")(MAIL)
    assert of("one")(MAIL) == redactors_for(How.HASH, [Type.EMAIL], tmp_path)("one")(MAIL)
