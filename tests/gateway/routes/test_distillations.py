"""`POST /v1/distillations`: stored completions in, a job on a file of them out."""

from __future__ import annotations

import json
import time

import openai
import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.crew import Crew
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.store import Store
from tests.gateway.serving import served
from tests.jobs.writers import save_base


def stored(number: int, reason: str = "stop") -> StoredCompletion:
    answer = {"choices": [{"message": {"role": "assistant", "content": f"a{number}"}, "finish_reason": reason}]}
    asked = [{"role": "user", "content": f"q{number}"}]
    metadata = {"use": "even" if number % 2 == 0 else "odd"}
    words = (json.dumps(answer).encode(), json.dumps(asked).encode())
    return StoredCompletion(f"chatcmpl-{number:03}", 100 + number, "large", "large-1", "", metadata, *words)


@pytest.fixture
async def url(tmp_path, own_database):
    save_base(tmp_path / "models" / "small")
    store = await Store.open(own_database, tmp_path)
    await store.completions.add("default", *[stored(number) for number in range(40)], stored(99, "length"))
    await store.close()
    with served(create_app(House(), Shelf(own_database, tmp_path))) as url:
        yield url


def post(sdk, **body):
    return sdk.post("/distillations", cast_to=object, body=body)


async def test_one_call_makes_the_file_and_orders_the_job(url, client):
    sdk = client(url)
    made = post(sdk, stored_completions={"model": "large", "metadata": {"use": "even"}}, model="small", suffix="s")
    assert (made["object"], made["examples"], made["validation_examples"]) == ("distillation", 18, 2)
    job = sdk.fine_tuning.jobs.retrieve(made["id"])
    assert (job.status, job.training_file, job.user_provided_suffix) == ("validating_files", made["training_file"], "s")
    held = sdk.files.content(made["validation_file"]).text.splitlines()
    rows = [json.loads(line) for line in [*sdk.files.content(job.training_file).text.splitlines(), *held]]
    rows.sort(key=lambda row: int(row["messages"][0]["content"][1:]))
    asked, said = {"role": "user", "content": "q0"}, {"role": "assistant", "content": "a0"}
    assert rows[0] == {"messages": [asked, said], "x_model": "large-1"}


async def test_by_default_the_ladder_learns_every_whole_answer(url, client):
    made = post(client(url), stored_completions={})
    assert (made["job"]["model"], made["examples"]) == ("stillhouse/auto", 40)
    assert (made["eval_id"], made["report_url"], made["job"]["eval_id"]) == (None, None, None)


async def test_an_eval_of_what_is_held_out_waits_for_the_model(url, client):
    sdk = client(url)
    made = post(sdk, stored_completions={}, model="small", validation_share=0.25)
    assert made["validation_examples"] == 10
    assert sdk.fine_tuning.jobs.retrieve(made["id"]).eval_id == made["eval_id"]
    kept = sdk.evals.retrieve(made["eval_id"])
    [criterion] = kept.testing_criteria
    assert criterion.type == "text_similarity"
    assert list(sdk.evals.runs.list(made["eval_id"])) == []
    assert f"/evals/{made['eval_id']}/runs/{made['eval_run_id']}?key=" in made["report_url"]
    [file] = sdk.get("/files?purpose=evals", cast_to=object)["data"]
    rows = [json.loads(line)["item"] for line in sdk.files.content(file["id"]).text.splitlines()]
    assert len(rows) == 10
    assert all(row["answer"][1:] == row["messages"][0]["content"][1:] for row in rows)


async def test_an_exam_of_ones_own_cannot_be_smuggled_in(url, client):
    forged = {"eval_id": "eval_1", "run_id": "evalrun_1", "token": "t", "file": "file-1", "longest": 1}
    made = post(client(url), stored_completions={}, exam=forged)
    assert made["eval_id"] is None


async def test_some_questions_are_held_out_when_asked_for(url, client):
    sdk = client(url)
    made = post(sdk, stored_completions={}, model="small", validation_share=0.3)
    assert made["examples"] + made["validation_examples"] == 40
    assert made["validation_examples"] > 3
    held = sdk.files.content(made["validation_file"]).text
    assert held.count("\n") == made["validation_examples"]


async def test_too_few_completions_and_unknown_models_leave_nothing_behind(url, client):
    sdk = client(url)
    with pytest.raises(openai.BadRequestError, match="Only 5 stored completions") as refused:
        post(sdk, stored_completions={"created_before": 104})
    assert refused.value.code == "invalid_n_examples"
    with pytest.raises(openai.BadRequestError) as refused:
        post(sdk, stored_completions={}, model="none")
    assert refused.value.code == "model_not_available"
    assert list(sdk.files.list()) == []
    assert list(sdk.evals.list()) == []


async def test_terms_that_forbid_training_fail_the_job_with_the_reason(tmp_path, own_database, client):
    save_base(tmp_path / "models" / "small")
    store = await Store.open(own_database, tmp_path)
    await store.completions.add("default", *[stored(number) for number in range(20)])
    terms = {"teacher": "large-api", "allowed": ["evaluate"], "models": ["large-*"], "source": "https://large.example"}
    await store.teacher_terms.put("large-api", terms)
    await store.close()
    house, crew = House(), Crew(own_database, tmp_path)
    house.enter(crew)
    with served(create_app(house, Shelf(own_database, tmp_path), wake=crew.wake)) as url:
        sdk = client(url)
        made = post(sdk, stored_completions={}, model="small")
        again = sdk.fine_tuning.jobs.create(model="small", training_file=made["training_file"])
        for job_id in (made["id"], again.id):
            while (job := sdk.fine_tuning.jobs.retrieve(job_id)).status == "validating_files":
                time.sleep(0.05)
            assert (job.status, job.error.code, job.error.param) == ("failed", "terms_forbidden", "training_file")
            assert (
                "were answered by large-1: its terms allow evaluate, not train (https://large.example)"
                in job.error.message
            )
            [last] = sdk.fine_tuning.jobs.list_events(job_id, limit=1).data
            assert (last.level, last.message) == ("error", job.error.message)
