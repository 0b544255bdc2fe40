"""Output items through the unmodified SDK: page by page, by status, one by one."""

from __future__ import annotations

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.jobs.evaluating import hands, until_done, world

ITEM = {"type": "object", "properties": {"n": {"type": "integer"}}}
CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.n}}",
    "operation": "eq",
}
SAMPLES = [{"output_text": "0"}, {"output_text": "x"}, None]


@pytest.fixture(scope="module")
def where(database, tmp_path_factory):
    with world(tmp_path_factory.mktemp("home"), database) as made, hands(made):
        yield made


@pytest.fixture(scope="module")
def sdk(where):
    with OpenAI(base_url=where.base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def run(sdk):
    """A run of nine rows: three pass, three fail, three are errored."""
    config = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
    made = sdk.evals.create(data_source_config=config, testing_criteria=[CHECK])
    rows = [{"item": {"n": 0}, **({"sample": SAMPLES[n % 3]} if SAMPLES[n % 3] else {})} for n in range(9)]
    source = {"type": "jsonl", "source": {"type": "file_content", "content": rows}}
    return until_done(sdk, made.id, sdk.evals.runs.create(made.id, data_source=source).id)


def numbers(page) -> list[int]:
    return [each.datasource_item_id for each in page]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, list(range(9))),
        ({"limit": 2}, list(range(9))),
        ({"limit": 4, "order": "desc"}, list(range(8, -1, -1))),
        ({"status": "pass", "limit": 1}, [0, 3, 6]),
        ({"status": "fail"}, [1, 4, 7]),
        ({"status": "failed"}, [1, 4, 7]),
        ({"status": "error", "order": "desc"}, [8, 5, 2]),
    ],
)
def test_items_are_listed_in_the_order_of_the_rows(sdk, run, asked, expected):
    assert numbers(sdk.evals.runs.output_items.list(run.id, eval_id=run.eval_id, **asked)) == expected


async def test_so_does_the_asynchronous_client(where, run):
    async with AsyncOpenAI(base_url=where.base_url, api_key="k") as client:
        items = client.evals.runs.output_items.list(run.id, eval_id=run.eval_id, limit=2)
        assert [each.datasource_item_id async for each in items] == list(range(9))


def test_one_is_shown_as_the_list_shows_it(sdk, run):
    for each in sdk.evals.runs.output_items.list(run.id, eval_id=run.eval_id, limit=3).data:
        alone = sdk.evals.runs.output_items.retrieve(each.id, eval_id=run.eval_id, run_id=run.id)
        assert alone.to_dict() == each.to_dict()
        assert (alone.object, alone.run_id, alone.eval_id) == ("eval.run.output_item", run.id, run.eval_id)


def test_what_is_not_there_is_not_found(sdk, run):
    for item in ("outputitem_none", "x" * 200):
        with pytest.raises(openai.NotFoundError) as caught:
            sdk.evals.runs.output_items.retrieve(item, eval_id=run.eval_id, run_id=run.id)
        assert caught.value.param == "output_item_id"
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.evals.runs.output_items.list("evalrun_none", eval_id=run.eval_id)
    assert caught.value.param == "run_id"


@pytest.mark.parametrize("query", [{"status": "good"}, {"limit": 0}, {"after": "outputitem_none"}])
def test_a_wrong_query_is_named(sdk, run, query):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.evals.runs.output_items.list(run.id, eval_id=run.eval_id, extra_query=query)
    assert caught.value.param in query
