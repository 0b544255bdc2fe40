"""Runs are carried out to their end from wherever they were left, and end as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from stillhouse.errors import TeacherError, TeacherUnavailable
from stillhouse.evaluation.graders.build import Means
from stillhouse.evaluation.kept import new_eval, new_run, show_run
from stillhouse.jobs.eval_runs import Pace, RunAsker, carry_out
from stillhouse.storage.eval_records import RunCounts
from stillhouse.storage.records import Cut
from stillhouse.storage.store import Store
from stillhouse.wire.chat import read_call
from stillhouse.wire.errors import unknown_model
from stillhouse.wire.evals import read_eval, read_run
from tests.evaluation.graders.judges import Judge, verdict

ITEM = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CONFIG = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
CRITERIA = [
    {"type": "string_check", "name": "has", "input": "{{sample.output_text}}", "reference": "7", "operation": "like"},
    {"type": "score_model", "name": "judged", "model": "judge", "input": [{"role": "user", "content": "{{item.q}}"}]},
]
ROWS = 40


class Models:
    """A model that says what it was asked, and a judge; both take a moment, and count their calls."""

    def __init__(self, seconds: float = 0.002) -> None:
        self.seconds, self.asked = seconds, []

    async def __call__(self, call):
        await asyncio.sleep(self.seconds)
        body = json.loads(call.body)
        asked = body["messages"][-1]["content"]
        self.asked.append((call.model, asked))
        if asked == "q13":
            raise TeacherError("The teacher refused the call with status 422.", 422, b'{"error":{"message":"no 13"}}')
        if call.model == "judge":
            return await Judge(verdict(int(asked[1:]) / ROWS))(call)
        return await Judge(f"I say {asked}")(call)


@pytest.fixture
async def store(url, tmp_path):
    store = await Store.open(url, tmp_path)
    yield store
    await store.close()


async def begin(store: Store, rows: int = ROWS, model: str | None = "m"):
    """An eval and a queued run of it."""
    body = {"name": "e", "data_source_config": CONFIG, "testing_criteria": CRITERIA}
    made, kept = new_eval(read_eval(json.dumps(body).encode()), 1)
    await store.evals.add("p", kept)
    content = [{"item": {"q": f"q{number}"}} for number in range(rows)]
    source = {"type": "completions", "source": {"type": "file_content", "content": content}}
    if model:
        prompt = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}
        source |= {"model": model, "input_messages": prompt}
    run = new_run(read_run(json.dumps({"data_source": source}).encode(), made.config), kept, 1)
    assert await store.eval_runs.add("p", run)
    return kept, run


async def ended(store: Store, run_id: str) -> tuple[dict, list]:
    """A run and its items, without what differs between two runs of one thing."""
    found = await store.eval_runs.find(run_id)
    assert found is not None
    shown = show_run(found[1], "")
    page = await store.eval_items.page(run_id, Cut(100, ascending=True))
    assert page is not None
    items = [json.loads(row.content) for row in page.rows]
    for each in (shown, *items):
        for name in ("id", "eval_id", "run_id", "created_at"):
            each.pop(name, None)
    for each in items:
        for result in each["results"]:
            result["name"] = result["name"][:4]
    for result in shown["per_testing_criteria_results"]:
        result["testing_criteria"] = result["testing_criteria"][:4]
    return shown, items


async def test_a_run_that_is_interrupted_again_and_again_ends_as_one_that_was_not(store):
    models = Models()
    _, smooth = await begin(store)
    await carry_out(store, smooth.id, Means(models))
    calls = sorted(models.asked)
    expected = await ended(store, smooth.id)
    assert expected[0]["status"] == "completed"
    assert expected[0]["result_counts"] == {"total": ROWS, "passed": 2, "failed": ROWS - 3, "errored": 1}

    again = Models()
    _, rough = await begin(store)
    interruptions = 0
    while True:
        kept, asked = await store.eval_items.done(rough.id), len(again.asked)
        work = asyncio.create_task(carry_out(store, rough.id, Means(again), Pace(at_once=3, together=2)))
        while not work.done() and len(await store.eval_items.done(rough.id)) < len(kept) + 3:
            await asyncio.sleep(0.001)
        interruptions += 1
        work.cancel()
        await asyncio.wait({work})
        assert kept.isdisjoint(int(question[1:]) for _, question in again.asked[asked:])  # none is asked again
        if not work.cancelled():
            break
    assert interruptions > 3
    assert set(again.asked) == set(calls)
    assert await ended(store, rough.id) == expected


async def test_two_who_carry_out_one_run_count_every_row_once(store):
    _, alone = await begin(store)
    await carry_out(store, alone.id, Means(Models()))
    _, shared = await begin(store)
    await asyncio.gather(*[carry_out(store, shared.id, Means(Models())) for _ in range(3)])
    assert await ended(store, shared.id) == await ended(store, alone.id)


async def test_counts_grow_while_the_run_goes_on(store):
    _, run = await begin(store)
    work = asyncio.create_task(carry_out(store, run.id, Means(Models(0.01)), Pace(at_once=4, together=4)))
    seen: list[int] = []
    while not work.done():
        found = await store.eval_runs.find(run.id)
        assert found is not None
        seen.append(sum(found[1].counts.items))
        await asyncio.sleep(0.01)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


@pytest.mark.parametrize("how", ["cancel", "delete the run", "delete the eval"])
async def test_a_run_that_is_stopped_stops_and_asks_no_more(store, how):
    models = Models(0.02)
    kept, run = await begin(store)
    work = asyncio.create_task(carry_out(store, run.id, Means(models), Pace(at_once=2, look=0.02)))
    while len(models.asked) < 8:
        await asyncio.sleep(0.01)
    match how:
        case "cancel":
            assert await store.eval_runs.move(run.id, "canceled")
        case "delete the run":
            assert await store.eval_runs.delete("p", kept.id, run.id)
        case _:
            assert await store.evals.delete("p", kept.id)
    await asyncio.wait_for(work, 5)
    asked = len(models.asked)
    await asyncio.sleep(0.1)
    assert len(models.asked) == asked < ROWS
    if how == "cancel":
        shown, items = await ended(store, run.id)
        assert (shown["status"], shown["result_counts"]["total"]) == ("canceled", len(items))
        await carry_out(store, run.id, Means(models))
        assert len(models.asked) == asked
    else:
        assert await store.eval_items.done(run.id) == set()


async def test_a_slow_model_does_not_keep_a_cancelled_run_alive(store):
    _, run = await begin(store)
    work = asyncio.create_task(carry_out(store, run.id, Means(Models(60.0)), Pace(look=0.02)))
    await asyncio.sleep(0.1)
    await store.eval_runs.move(run.id, "canceled")
    await asyncio.wait_for(work, 5)


async def test_a_model_that_is_not_there_ends_the_run_at_once(store):
    asked = 0

    async def nobody(call):
        nonlocal asked
        asked += 1
        raise unknown_model(call.model)

    _, run = await begin(store)
    await carry_out(store, run.id, Means(nobody), Pace(at_once=2))
    shown, items = await ended(store, run.id)
    assert (shown["status"], shown["error"]["code"], items) == ("failed", "model_not_found", [])
    assert asked <= 4


async def test_a_judge_that_is_not_there_is_told_item_by_item(store):
    async def no_judge(call):
        if call.model == "judge":
            raise unknown_model(call.model)
        return await Judge("7")(call)

    _, run = await begin(store, rows=2)
    await carry_out(store, run.id, Means(no_judge))
    shown, items = await ended(store, run.id)
    assert (shown["status"], shown["result_counts"]["errored"]) == ("completed", 2)
    assert "'judge' does not exist" in items[0]["sample"]["error"]["message"]


async def test_a_run_without_a_sample_errs_and_does_not_fail(store):
    _, run = await begin(store, rows=2, model=None)
    await carry_out(store, run.id, Means(Models()))
    shown, _ = await ended(store, run.id)
    assert (shown["status"], shown["result_counts"]["errored"]) == ("completed", 2)


async def test_what_is_gone_is_no_trouble(store):
    await carry_out(store, "evalrun_none", Means(Models()))


async def test_a_refusal_is_told_in_the_words_of_who_refused():
    async def refuses(call):
        raise TeacherError("The teacher refused the call with status 400.", 400, b'{"error":{"message":"too long"}}')

    async def is_away(call):
        raise TeacherUnavailable("no connection")

    call = read_call(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')
    asker = RunAsker(refuses, "m")
    with pytest.raises(TeacherError, match="too long"):
        await asker(call)
    assert asker.hopeless is None
    with pytest.raises(TeacherError, match="no connection"):
        await RunAsker(is_away, "m")(call)


def test_counts_add_up():
    one = RunCounts((1, 0, 0), {"c": (1, 0, 0)}, {"m": (1, 5, 2, 0)})
    assert one + RunCounts() == one
    assert one + replace(one, items=(0, 1, 0), criteria={"d": (0, 1, 0)}) == RunCounts(
        (1, 1, 0), {"c": (1, 0, 0), "d": (0, 1, 0)}, {"m": (2, 10, 4, 0)}
    )
