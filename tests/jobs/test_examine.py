"""The exam after a job: once, of the tuned model, as the unmodified client sees it; nothing where there is none."""

from __future__ import annotations

import asyncio
import json

from openai import OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.jobs.evaluate import evaluate
from stillhouse.jobs.examine import examine
from stillhouse.jobs.fine_tune import learn, validate
from stillhouse.jobs.workflows import Shop
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.store import Store
from stillhouse.wire.fine_tuning import NewJob
from tests.gateway.serving import served
from tests.jobs.working import add_job
from tests.jobs.writers import save_base
from tests.storage.databases import SLOWLY_ON_BOTH


def stored(number: int) -> StoredCompletion:
    message = {"role": "assistant", "content": "even" if number % 2 == 0 else "odd"}
    answer = {"choices": [{"message": message, "finish_reason": "stop"}]}
    asked = [{"role": "user", "content": f"{number:02}"}]
    words = (json.dumps(answer).encode(), json.dumps(asked).encode())
    return StoredCompletion(f"chatcmpl-{number:03}", 100 + number, "large", "large-1", "", {}, *words)


@SLOWLY_ON_BOTH
async def test_from_stored_completions_to_a_graded_model(tmp_path, own_database):
    save_base(tmp_path / "models" / "small")
    store = await Store.open(own_database, tmp_path)
    await store.completions.add("default", *[stored(number) for number in range(40)])
    with served(create_app(House(), Shelf(own_database, tmp_path))) as url:
        shop = Shop(store, tmp_path, "worker-1", f"{url}/v1")
        client = OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        wish = {"stored_completions": {}, "model": "small", "hyperparameters": {"n_epochs": 1, "batch_size": 8}}
        made = await asyncio.to_thread(client.post, "/distillations", cast_to=object, body=wish)
        await validate(shop, made["id"])
        await examine(shop, made["id"])
        assert await store.eval_runs.find(made["eval_run_id"]) is None  # the model is not there yet
        await learn(shop, made["id"])
        await examine(shop, made["id"])
        await examine(shop, made["id"])  # as after a kill between the run and the note that the step is done
        assert [order.argument for order in await store.orders.waiting() if order.workflow == "eval_run"] == [
            made["eval_run_id"]
        ]
        await evaluate(shop, made["eval_run_id"])
        job = await asyncio.to_thread(client.fine_tuning.jobs.retrieve, made["id"])
        [run] = await asyncio.to_thread(lambda: list(client.evals.runs.list(job.eval_id)))
    assert (run.id, run.status, run.model) == (made["eval_run_id"], "completed", job.fine_tuned_model)
    assert run.report_url == made["report_url"]
    assert (run.result_counts.total, run.result_counts.errored) == (4, 0)
    await store.close()


async def test_other_jobs_have_none(tmp_path, own_database):
    store = await Store.open(own_database, tmp_path)
    await examine(Shop(store, tmp_path, "w"), await add_job(store, NewJob("small", "file-1")))
    await examine(Shop(store, tmp_path, "w"), "ftjob-none")
    assert await store.eval_runs.unfinished() == []
    await store.close()
