"""Jobs keep to the terms of teachers: one that they forbid fails, and attributions go with what is learnt."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import TermsForbid
from stillhouse.jobs.fine_tune import learn, validate
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.terms import FORBIDDEN, check_terms
from stillhouse.jobs.workflows import Shop
from stillhouse.storage.records import Cut
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import Status
from stillhouse.wire.fine_tuning import Distillation, Hyperparameters, NewJob
from tests.jobs.working import add_file, add_job
from tests.jobs.writers import chat, chats, save_base

CLOSED = {"teacher": "big-api", "allowed": ["evaluate", "serve"], "models": ["big-*"], "source": "https://big.example"}
NAMED = {"teacher": "fair", "attribution": "Made with Fair", "expires": "2999-01-01"}


@pytest.fixture
async def shop(tmp_path):
    store = await Store.open(None, tmp_path)
    yield Shop(store, tmp_path, "worker-1")
    await store.close()


async def order(shop: Shop, rows: list, **asked) -> str:
    wanted = {"model": "small", "hyperparameters": Hyperparameters(n_epochs=1, batch_size=4), "seed": 3} | asked
    return await add_job(shop.store, NewJob(training_file=await add_file(shop.store, rows), **wanted))


async def seen(shop: Shop, job_id: str):
    job = await shop.store.jobs.find(job_id)
    assert job is not None
    page = await shop.store.jobs.events(job_id, Cut(100, ascending=True))
    return job, [event.message for event in page.rows]


@pytest.mark.parametrize("key", ["x_model", "x_teacher"])
async def test_rows_of_a_teacher_that_forbids_it_fail_the_job(shop, key):
    await shop.store.teacher_terms.put("big-api", CLOSED)
    name = "big-4o" if key == "x_model" else "big-api"
    job_id = await order(shop, [*chats(), chat("double z", "zz", **{key: name})])
    await validate(shop, job_id)
    job, told = await seen(shop, job_id)
    error = json.loads(job.error)
    assert (job.status, error["code"], error["param"]) == (Status.FAILED, FORBIDDEN, "training_file")
    assert (
        f"1 rows were answered by {name}: its terms allow evaluate, serve, not train (https://big.example)" in told[-1]
    )
    assert error["message"] == told[-1]
    assert not JobFolder.of(shop.home, job_id).has_rows


async def test_terms_that_changed_while_it_waited_fail_it_before_it_learns(shop):
    save_base(shop.home / "models" / "small")
    await shop.store.teacher_terms.put("fair", NAMED)
    job_id = await order(shop, [{**row, "x_teacher": "fair"} for row in chats()])
    await validate(shop, job_id)
    assert (await shop.store.jobs.find(job_id)).status is Status.QUEUED
    await shop.store.teacher_terms.put("fair", {**NAMED, "expires": "2020-01-01"})
    await learn(shop, job_id)
    job, told = await seen(shop, job_id)
    assert (job.status, job.model) == (Status.FAILED, None)
    assert "12 rows were answered by fair: its terms expired on 2020-01-01" in told[-1]
    assert "Fine-tuning job started" not in told


async def test_attributions_and_teachers_without_terms_are_told_to_clients(shop):
    save_base(shop.home / "models" / "small")
    await shop.store.teacher_terms.put("fair", NAMED)
    rows = [{**row, "x_teacher": "fair"} for row in chats()]
    job_id = await order(shop, [*rows, chat("double z", "zz", x_model="mini"), chat("double y", "yy")])
    await validate(shop, job_id)
    await learn(shop, job_id)
    job, told = await seen(shop, job_id)
    assert job.status is Status.SUCCEEDED, job.error
    assert "Attribution that must go with the model: Made with Fair" in told
    assert any("1 rows were answered by mini; its terms are not known here" in each for each in told)


@pytest.mark.slow
async def test_the_model_card_of_a_small_student_has_the_attribution(shop):
    await shop.store.teacher_terms.put("fair", NAMED)
    rows = [chat(f"{word} {n}", word, x_teacher="fair") for n in range(60) for word in ("refund", "parcel", "other")]
    job_id = await order(shop, rows, model="stillhouse/auto", distillation=Distillation(students=("words",)))
    await validate(shop, job_id)
    await learn(shop, job_id)
    job, _ = await seen(shop, job_id)
    assert job.status is Status.SUCCEEDED, job.error
    bundle = JobFolder.of(shop.home, job_id).path / "bundle"
    assert "| fair | 180 |" in (bundle / "README.md").read_text()
    assert "Made with Fair" in (bundle / "README.md").read_text()
    assert json.loads((bundle / "stillhouse.json").read_text())["teacher"] == "fair"


async def test_a_local_teacher_and_the_serving_of_what_is_learnt_are_asked_about(shop):
    await shop.store.teacher_terms.put("large", {"teacher": "large", "allowed": ["evaluate"]})
    await shop.store.teacher_terms.put("shy", {"teacher": "shy", "allowed": ["train"]})
    folder = JobFolder(shop.home / "a job")
    folder.write_rows("train", chats())
    with pytest.raises(TermsForbid, match="large is asked: its terms allow evaluate, not train"):
        await check_terms(shop, NewJob("small", "file", distillation=Distillation("large")), folder)
    folder.write_rows("valid", [chat("double a", "aa", x_model="shy")])
    with pytest.raises(TermsForbid, match="1 rows were answered by shy: its terms allow train, not serve"):
        await check_terms(shop, NewJob("small", "file"), folder)
    folder.write_rows("valid", chats())
    assert (await check_terms(shop, NewJob("small", "file"), folder)).events() == []
