"""Evals through the unmodified SDK, sync and async: made, listed, shown, renamed, deleted, and no one else's."""

from __future__ import annotations

import asyncio
import time

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.jobs.evaluating import world

ITEM = {"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}, "required": ["q"]}
CUSTOM = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{ item.a }}",
    "operation": "eq",
}


@pytest.fixture(scope="module")
def where(database, tmp_path_factory):
    with world(tmp_path_factory.mktemp("home"), database, locked=True) as made:
        yield made


@pytest.fixture(scope="module")
def keys(where):
    """The secrets of two projects' keys."""

    async def make():
        store = await Store.open(where.database, where.home)
        try:
            return [(await store.keys.create(name, name, [Scope.ADMIN]))[1] for name in ("p", "q")]
        finally:
            await store.close()

    return asyncio.run(make())


@pytest.fixture(scope="module")
def sdk(where, keys):
    with OpenAI(base_url=where.base_url, api_key=keys[0], max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="module")
def loose(where, keys):
    """The same, for runs: their error is null, as OpenAI's is, which the SDK's types do not say."""
    with OpenAI(base_url=where.base_url, api_key=keys[0], max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(where, keys):
    with OpenAI(base_url=where.base_url, api_key=keys[1], max_retries=0) as client:
        yield client


def test_an_eval_is_made_and_shown_as_it_was_made(sdk):
    raw = sdk.evals.with_raw_response.create(
        name="answers", data_source_config=CUSTOM, testing_criteria=[CHECK], metadata={"team": "a b"}
    )
    made = raw.parse()
    assert (raw.status_code, made.object, made.name, made.metadata) == (201, "eval", "answers", {"team": "a b"})
    assert made.data_source_config.to_dict()["schema"]["properties"]["item"] == ITEM
    assert made.testing_criteria[0].to_dict()["id"].startswith("same-")
    assert sdk.evals.retrieve(made.id).to_dict() == made.to_dict()
    sdk.evals.delete(made.id)


def test_names_and_metadata_change_and_nothing_else(sdk):
    made = sdk.evals.create(name="one", data_source_config=CUSTOM, testing_criteria=[CHECK], metadata={"a": "b"})
    assert sdk.evals.update(made.id, name="two").metadata == {"a": "b"}
    changed = sdk.evals.update(made.id, metadata={"c": "d"})
    assert (changed.name, changed.metadata) == ("two", {"c": "d"})
    assert changed.to_dict()["testing_criteria"] == made.to_dict()["testing_criteria"]
    assert sdk.evals.retrieve(made.id).to_dict() == changed.to_dict()
    sdk.evals.delete(made.id)


def test_the_sdk_goes_through_every_page_in_either_order(sdk):
    made = [sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK]).id for _ in range(5)]
    assert [each.id for each in sdk.evals.list(limit=2)] == made
    assert [each.id for each in sdk.evals.list(limit=2, order="desc")] == made[::-1]
    page = sdk.evals.list(limit=2)
    sdk.evals.delete(made[1])
    assert [each.id for each in sdk.evals.list(after=page.data[-1].id)] == made[2:]
    for each in (made[0], *made[2:]):
        sdk.evals.delete(each)
    assert list(sdk.evals.list()) == []


async def test_so_does_the_asynchronous_one(where, keys):
    async with AsyncOpenAI(base_url=where.base_url, api_key=keys[0], max_retries=0) as client:
        made = [(await client.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])).id for _ in range(3)]
        assert [each.id async for each in client.evals.list(limit=1, order_by="created_at")] == made
        for each in made:
            assert (await client.evals.delete(each)).deleted


def test_the_last_changed_come_last_by_update(sdk):
    first, second = [sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK]).id for _ in range(2)]
    time.sleep(1.1)  # times are whole seconds
    sdk.evals.update(first, name="later")
    assert [each.id for each in sdk.evals.list(order_by="updated_at")] == [second, first]
    assert [each.id for each in sdk.evals.list(order_by="created_at")] == [first, second]
    for each in (first, second):
        sdk.evals.delete(each)


def test_a_deleted_eval_is_gone_and_so_is_an_unknown_one(sdk):
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    gone = sdk.evals.delete(made.id)
    assert (gone.object, gone.deleted, gone.eval_id) == ("eval.deleted", True, made.id)
    for call in (sdk.evals.retrieve, sdk.evals.delete, sdk.evals.update, sdk.evals.runs.list):
        for eval_id in (made.id, "eval_none", "x" * 200):
            with pytest.raises(openai.NotFoundError) as caught:
                call(eval_id)
            assert (caught.value.code, caught.value.param) == ("not_found", "eval_id")


def test_nobody_sees_what_is_another_projects(loose, stranger):
    sdk = loose
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    source = {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"q": "?"}}]}}
    run = sdk.evals.runs.create(made.id, data_source=source)
    assert list(stranger.evals.list()) == []
    calls = [
        lambda: stranger.evals.retrieve(made.id),
        lambda: stranger.evals.update(made.id, name="mine"),
        lambda: stranger.evals.delete(made.id),
        lambda: stranger.evals.runs.create(made.id, data_source=source),
        lambda: stranger.evals.runs.list(made.id),
        lambda: stranger.evals.runs.retrieve(run.id, eval_id=made.id),
        lambda: stranger.evals.runs.cancel(run.id, eval_id=made.id),
        lambda: stranger.evals.runs.delete(run.id, eval_id=made.id),
        lambda: stranger.evals.runs.output_items.list(run.id, eval_id=made.id),
        lambda: stranger.evals.runs.output_items.retrieve("outputitem_1", eval_id=made.id, run_id=run.id),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError):
            call()
    assert sdk.evals.runs.retrieve(run.id, eval_id=made.id).status == "queued"
    with pytest.raises(openai.BadRequestError, match="after"):
        stranger.evals.list(after=made.id)
    sdk.evals.delete(made.id)


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"testing_criteria": [{**CHECK, "input": "{{sample.}}"}]}, "invalid_value", "testing_criteria[0].input"),
        (
            {"data_source_config": {"type": "custom", "item_schema": ITEM}},
            "invalid_value",
            "testing_criteria[0].input",
        ),
        ({"testing_criteria": [{**CHECK, "type": "multi"}]}, "invalid_value", "testing_criteria[0].type"),
        (
            {"testing_criteria": [{"type": "python", "name": "p", "source": "def grade(sample, item): return 1"}]},
            "unsupported_feature",
            "testing_criteria[0].type",
        ),
        ({"metadata": {"k" * 65: "v"}}, "string_above_max_length", "metadata"),
    ],
)
def test_what_cannot_work_is_refused_with_its_path(sdk, changes, code, param):
    body = {"data_source_config": CUSTOM, "testing_criteria": [CHECK], **changes}
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.evals.create(**body)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_names_may_hold_what_a_database_s_text_may_not(loose):
    made = loose.evals.create(name="a\x00b 🙂", data_source_config=CUSTOM, testing_criteria=[CHECK])
    assert loose.evals.retrieve(made.id).name == "a\x00b 🙂"
    source = {"type": "completions", "source": {"type": "stored_completions", "model": "m\x00"}}
    run = loose.evals.runs.create(made.id, data_source=source)
    assert (run.name, run.model) == ("m\x00", "m\x00")
    source = {"type": "jsonl", "source": {"type": "file_id", "id": "\x00"}}
    with pytest.raises(openai.BadRequestError):
        loose.evals.runs.create(made.id, data_source=source)
    loose.evals.delete(made.id)


@pytest.mark.parametrize("query", [{"order_by": "name"}, {"order": "up"}, {"limit": 101}, {"after": "eval_none"}])
def test_a_wrong_query_is_named(sdk, query):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.evals.list(extra_query=query)
    assert caught.value.param in query
