"""Stored completions through the unmodified SDK, sync and async: listed, filtered, read, changed, deleted."""

from __future__ import annotations

import urllib.request

import openai
import pytest
from openai import AsyncOpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import LABELS, Keywords, prompt, served, status_of


@pytest.fixture(scope="module")
def url(database, tmp_path_factory):
    """A gateway with two students, and nine stored answers, one after the other."""
    shelf = Shelf(database, tmp_path_factory.mktemp("home"))
    with served(create_app(House.of([Keywords(), Keywords(LABELS)]), shelf=shelf)) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
            for number in range(9):
                metadata = {"number": str(number), "kind": "odd" if number % 2 else "even", "a b&c": "ü [1]"}
                model = ("desk/triage", "plain")[number % 3 == 0]
                sdk.chat.completions.create(model=model, messages=prompt("refund"), store=True, metadata=metadata)
        yield url


@pytest.fixture
def sdk(url, client):
    return client(url)


def numbers(page) -> list[int]:
    return [int(each.metadata["number"]) for each in page]


def test_all_are_listed_newest_first(sdk):
    page = sdk.chat.completions.list()
    assert numbers(page.data) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert page.has_more is False
    assert (page.model_extra["first_id"], page.model_extra["last_id"]) == (page.data[0].id, page.data[-1].id)


@pytest.mark.parametrize(("order", "expected"), [("asc", list(range(9))), ("desc", list(range(8, -1, -1)))])
def test_the_sdk_goes_through_every_page(sdk, order, expected):
    assert numbers(sdk.chat.completions.list(limit=2, order=order)) == expected


async def test_so_does_the_asynchronous_one(url):
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        assert numbers([each async for each in sdk.chat.completions.list(limit=4)]) == [8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"model": "plain"}, [6, 3, 0]),
        ({"model": "nobody"}, []),
        ({"metadata": {"kind": "odd"}}, [7, 5, 3, 1]),
        ({"metadata": {"kind": "odd"}, "model": "plain"}, [3]),
        ({"metadata": {"kind": "odd", "number": "4"}}, []),
        ({"metadata": {"a b&c": "ü [1]"}, "order": "asc", "limit": 3}, list(range(9))),
        ({"metadata": {"kind": ""}}, []),
    ],
)
def test_filters_are_exact_and_all_must_hold(sdk, filters, expected):
    assert numbers(sdk.chat.completions.list(**filters)) == expected


def test_an_empty_page_has_the_form_of_a_page(url):
    with urllib.request.urlopen(f"{url}/v1/chat/completions?model=nobody") as response:
        assert response.read() == b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'


def test_messages_are_what_was_asked(sdk):
    newest = sdk.chat.completions.list(limit=1).data[0]
    loose = openai.OpenAI(base_url=str(sdk.base_url), api_key="k")  # the SDK's type of a stored role is wrong
    with loose:
        messages = list(loose.chat.completions.messages.list(newest.id))
        assert [(each.id, each.role, each.content) for each in messages] == [
            (f"{newest.id}-{index}", each["role"], each["content"]) for index, each in enumerate(prompt("refund"))
        ]
        assert [each.id for each in loose.chat.completions.messages.list(newest.id, limit=1)] == [
            each.id for each in messages
        ]
        backwards = loose.chat.completions.messages.list(newest.id, order="desc", limit=1)
        assert [each.id for each in backwards] == [each.id for each in messages[::-1]]


def test_an_update_replaces_metadata_and_nothing_else(sdk):
    made = sdk.chat.completions.create(model="plain", messages=prompt("x"), store=True, metadata={"number": "9"})
    changed = sdk.chat.completions.update(made.id, metadata={"number": "10", "new": "yes"})
    assert changed.metadata == {"number": "10", "new": "yes"}
    assert changed.choices[0].message.content == made.choices[0].message.content
    assert numbers(sdk.chat.completions.list(metadata={"new": "yes"})) == [10]
    assert sdk.chat.completions.update(made.id, metadata=None).metadata == {}
    assert sdk.chat.completions.delete(made.id).deleted


def test_a_deleted_one_is_gone_and_a_cursor_on_it_goes_on(sdk):
    made = [
        sdk.chat.completions.create(model="plain", messages=prompt("x"), store=True, metadata={"number": str(n)})
        for n in (20, 21, 22)
    ]
    gone = sdk.chat.completions.delete(made[1].id)
    assert (gone.id, gone.object, gone.deleted) == (made[1].id, "chat.completion.deleted", True)
    for call in (sdk.chat.completions.retrieve, sdk.chat.completions.delete, sdk.chat.completions.messages.list):
        with pytest.raises(openai.NotFoundError) as caught:
            call(made[1].id)
        assert (caught.value.code, caught.value.param) == ("not_found", "completion_id")
        assert caught.value.body["message"] == f"Completion {made[1].id} not found"
    assert numbers(sdk.chat.completions.list(after=made[1].id, limit=1).data) == [20]
    for each in (made[0], made[2]):
        sdk.chat.completions.delete(each.id)


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ({"limit": 0}, "integer_below_min_value", "limit"),
        ({"limit": 101}, "integer_above_max_value", "limit"),
        ({"limit": "many"}, "invalid_type", "limit"),
        ({"order": "sideways"}, "invalid_value", "order"),
        ({"after": "chatcmpl-none"}, "invalid_value", "after"),
        ({"after": "\x00"}, "invalid_value", "after"),
        ({"metadata": {"k" * 65: "v"}}, "string_above_max_length", "metadata." + "k" * 64),
    ],
)
def test_a_wrong_query_is_named(sdk, query, code, param):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.list(extra_query=query)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "missing_required_parameter"), ({"metadata": {"a": 1}}, "invalid_type"), ({"metadata": "x"}, "invalid_type")],
)
def test_a_wrong_update_is_named(sdk, body, code):
    newest = sdk.chat.completions.list(limit=1).data[0]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.post(f"/chat/completions/{newest.id}", body=body, cast_to=object)
    assert caught.value.code == code


@pytest.mark.parametrize("path", ["x" * 500, "%00", "%C3%A4", "a%2Fb"])
def test_what_can_be_no_id_is_not_found(url, path):
    assert status_of(f"{url}/v1/chat/completions/{path}") == 404


def test_other_methods_are_not_allowed(url):
    request = urllib.request.Request(f"{url}/v1/chat/completions", method="DELETE")
    assert status_of(request) == 405


def test_without_a_shelf_there_is_nothing_to_list(alone, client):
    with pytest.raises(openai.APIStatusError) as caught:
        client(alone).chat.completions.list()
    assert caught.value.status_code == 405
