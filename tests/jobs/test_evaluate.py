"""A worker carries runs out: as a client of their project, in a process of its own, and again after it was killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from openai import OpenAI

from stillhouse.jobs.evaluate import evaluate, note_failure
from stillhouse.jobs.workflows import WORKFLOWS
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.serving import served
from tests.jobs.evaluating import Site, Upstream, until_done, world
from tests.storage.databases import database_option, free_port

ITEM = {"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}}
CUSTOM = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.a}}",
    "operation": "eq",
}
PROMPT = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}


def source(rows: int) -> dict:
    content = [{"item": {"q": f"row {n}", "a": f"ROW {n}" if n % 3 else "x"}} for n in range(rows)]
    kept = {"type": "file_content", "content": content}
    return {"type": "completions", "source": kept, "model": "shouts", "input_messages": PROMPT}


def with_store(where, work):
    async def run():
        store = await Store.open(where.database, where.home)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def begin(client, rows: int = 4):
    made = client.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    return made, client.evals.runs.create(made.id, data_source=source(rows))


@pytest.fixture
def where(tmp_path, own_database):
    with world(tmp_path, own_database, locked=True) as made:
        yield made


@pytest.fixture
def sdk(where):
    _, secret = with_store(where, lambda store: store.keys.create("mine", "me", [Scope.ADMIN]))
    with OpenAI(base_url=where.base_url, api_key=secret, max_retries=0) as client:
        yield client


def test_it_asks_by_a_key_of_the_project_and_leaves_none(where, sdk):
    made, run = begin(sdk)
    seen = []

    async def work(store):
        await asyncio.gather(evaluate(Site(store, where.home, where.base_url), run.id), watch(store))

    async def watch(store):
        while not seen:
            seen.extend(key for key in await store.keys.all() if key.name.startswith("eval run"))
            await asyncio.sleep(0.005)

    where.upstream.seconds = 0.05
    with_store(where, work)
    told = sdk.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (told.status, told.result_counts.passed, told.result_counts.failed) == ("completed", 2, 2)
    (key,) = seen
    assert (key.project, key.scopes) == ("mine", {Scope.INFER})
    assert key.expires is not None
    keys = with_store(where, lambda store: store.keys.all())
    assert [each.name for each in keys] == ["me"]
    assert {call["store"] for call in where.upstream.calls} == {False}


def test_without_a_server_the_run_fails_and_says_so(where, sdk):
    made, run = begin(sdk)
    with_store(where, lambda store: evaluate(Site(store, where.home, None), run.id))
    told = sdk.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (told.status, told.error.code) == ("failed", "no_gateway")
    assert "--gateway" in told.error.message


def test_a_run_that_is_gone_or_done_is_left_alone(where, sdk):
    _, run = begin(sdk)
    with_store(where, lambda store: evaluate(Site(store, where.home, None), "evalrun_none"))
    sdk.evals.runs.cancel(run.id, eval_id=run.eval_id)
    with_store(where, lambda store: evaluate(Site(store, where.home, where.base_url), run.id))
    assert where.upstream.calls == []


@pytest.mark.parametrize("end", ["completed", "cancelled", "failed"])
def test_keys_that_killed_workers_left_are_gone_with_the_run(where, sdk, end):
    _, run = begin(sdk)

    async def work(store):
        await store.keys.create("mine", f"eval run {run.id} 0a1b2c3d", [Scope.INFER])
        site = Site(store, where.home, where.base_url)
        if end == "failed":
            await note_failure(site, run.id, ValueError("odd"))
            return
        if end == "cancelled":
            await store.eval_runs.move(run.id, "canceled")
        await evaluate(site, run.id)

    with_store(where, work)
    keys = with_store(where, lambda store: store.keys.all())
    assert [each.name for each in keys] == ["me"]


def test_a_failure_of_ours_is_told(where, sdk):
    made, run = begin(sdk)
    with_store(where, lambda store: note_failure(Site(store, where.home, None), run.id, ValueError("odd")))
    told = sdk.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (told.status, told.error.code) == ("failed", "server_error")


def test_a_server_that_is_away_for_a_while_costs_no_row(tmp_path):
    with world(tmp_path) as where, OpenAI(base_url=where.base_url, api_key="k") as client:
        made, run = begin(client)
    port = int(where.url.rpartition(":")[2])
    outcomes = []

    def work():
        with_store(where, lambda store: evaluate(Site(store, where.home, where.base_url), run.id))
        outcomes.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(5)  # longer than all retries of one call
    assert outcomes == []
    with world(tmp_path, port=port) as where, OpenAI(base_url=where.base_url, api_key="k") as client:
        told = until_done(client, made.id, run.id)
        thread.join()
    assert (told.status, told.result_counts.errored, told.result_counts.total) == ("completed", 0, 4)


@contextmanager
def worker(where):
    """A worker in a process of its own, as a gateway starts it."""
    setting = {"home": str(where.home), "database": where.database, "gateway": where.base_url}
    process = subprocess.Popen([sys.executable, "-m", "stillhouse.jobs.worker"], stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(json.dumps(setting).encode() + b"\n")
    process.stdin.flush()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        process.stdin.close()


@pytest.mark.parametrize(
    ("own_database", "kills"),
    [
        ("sqlite", 1),
        pytest.param("sqlite", 4, marks=pytest.mark.slow),
        pytest.param("postgresql", 4, marks=pytest.mark.slow),
    ],
    indirect=["own_database"],
)
def test_a_run_whose_worker_is_killed_ends_as_one_whose_worker_was_not(own_database, kills, tmp_path):
    with world(tmp_path, own_database) as where, OpenAI(base_url=where.base_url, api_key="k") as client:
        made, rough = begin(client, 60)
        where.upstream.seconds = 0.15
        chance = random.Random(kills)
        for _ in range(kills):
            with worker(where) as process:
                before = done(client, rough)
                while done(client, rough) < before + 8 and process.poll() is None:
                    time.sleep(chance.random() / 10)
                os.kill(process.pid, signal.SIGKILL)
        asked = len(where.upstream.calls)
        between = done(client, rough)
        assert 8 * kills <= between < 60
        where.upstream.seconds = 0.0
        smooth = client.evals.runs.create(made.id, data_source=source(60))
        with worker(where):
            first, second = (until_done(client, made.id, run.id, 60) for run in (rough, smooth))
        assert first.status == second.status == "completed"
        assert first.result_counts == second.result_counts
        assert first.result_counts.total == 60
        assert told(client, first) == told(client, second)
        assert first.per_testing_criteria_results == second.per_testing_criteria_results
        assert first.per_model_usage == second.per_model_usage
        assert len(where.upstream.calls) - asked == 60 + 60 - between  # what was kept is not asked again


def done(client, run) -> int:
    return client.evals.runs.retrieve(run.id, eval_id=run.eval_id).result_counts.total


def told(client, run) -> list:
    items = client.evals.runs.output_items.list(run.id, eval_id=run.eval_id, limit=100)
    return [(each.datasource_item_id, each.status, each.datasource_item, each.sample.to_dict()) for each in items]


@contextmanager
def server(home, database: str | None, port: int):
    """`stillhouse serve` in a process of its own, with the worker that it starts; gone without a word afterwards."""
    command = [sys.executable, "-m", "stillhouse", "serve", "--home", str(home), "--port", str(port), "--json"]
    process = subprocess.Popen([*command, *database_option(database)], stdout=subprocess.PIPE)
    assert process.stdout
    json.loads(process.stdout.readline())
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_a_run_whose_server_is_killed_again_and_again_loses_nothing(tmp_path, own_database):
    upstream, port, chance = Upstream(seconds=0.15), free_port(), random.Random(5)
    with served(upstream.app()) as api, OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k") as client:
        teacher = f'[teachers.t]\nbase_url = "{api}/v1"\nmodels = {{ shouts = "shouts" }}\n'
        (tmp_path / "stillhouse.toml").write_text(teacher)
        with server(tmp_path, own_database, port):
            made, run = begin(client, 120)
        for _ in range(4):
            with server(tmp_path, own_database, port):
                wait_until_done(client, run, done(client, run) + chance.randrange(1, 15))
            time.sleep(chance.random())
        with server(tmp_path, own_database, port):
            told = until_done(client, made.id, run.id, 60)
    assert (told.status, told.result_counts.passed, told.result_counts.failed) == ("completed", 80, 40)
    assert len({call["messages"][-1]["content"] for call in upstream.calls}) == 120
    assert len(upstream.calls) <= 120 + 5 * 2 * 8  # only rows in work are asked again


def wait_until_done(client, run, rows: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while done(client, run) < min(rows, 120):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_before_their_end_are_ordered_anew_after_a_restore(where, sdk):
    _, waiting = begin(sdk)
    _, over = begin(sdk)
    sdk.evals.runs.cancel(over.id, eval_id=over.eval_id)
    assert with_store(where, WORKFLOWS["eval_run"].unfinished) == [waiting.id]
