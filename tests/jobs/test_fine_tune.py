"""Fine-tuning jobs carried out: what files are refused, what models come out, and that a kill changes nothing."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace

import orjson
import pytest

from stillhouse.jobs.fine_tune import learn, note_failure, validate
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.workflows import Shop
from stillhouse.storage.records import Cut
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import ModelKind, NewEvent, Status
from stillhouse.wire.fine_tuning import Distillation, Hyperparameters, NewJob
from tests.jobs.working import PROJECT, add_file, add_job, ended, until, worker
from tests.jobs.writers import chat, chats, pairs, save_base
from tests.storage.databases import KINDS, SLOWLY_ON_BOTH, database_for

QUICK = Hyperparameters(n_epochs=4, batch_size=4, learning_rate_multiplier=10.0)


ON_BOTH = pytest.mark.parametrize("own_database", KINDS, indirect=True)
"""For jobs that learn: those of the gateway's tests and of the Node client learn on both databases every time."""


@pytest.fixture(params=["sqlite"])
def own_database(request) -> str | None:
    """SQLite's file in the home folder; what is told of a job in a database, and not of its training, is `ON_BOTH`."""
    return database_for(request)


@pytest.fixture
async def shop(tmp_path, own_database):
    """A place to work, with the base model `small`."""
    save_base(tmp_path / "models" / "small")
    store = await Store.open(own_database, tmp_path)
    yield Shop(store, tmp_path, "worker-1")
    await store.close()


async def done(shop: Shop, rows: list, held: list | None = None, **asked):
    """A job on rows, carried out here; and the messages of its events."""
    file = await add_file(shop.store, rows)
    valid = await add_file(shop.store, held) if held is not None else None
    wanted = {"model": "small", "hyperparameters": QUICK, "seed": 3} | asked
    job_id = await add_job(shop.store, NewJob(training_file=file, validation_file=valid, **wanted))
    await validate(shop, job_id)
    await learn(shop, job_id)
    page = await shop.store.jobs.events(job_id, Cut(100, ascending=True))
    return await shop.store.jobs.find(job_id), page.rows


@SLOWLY_ON_BOTH
async def test_a_supervised_job_from_files_to_a_model_with_its_figures(shop):
    job, events = await done(shop, chats(), chats(3), suffix="letters")
    assert job.status is Status.SUCCEEDED
    assert json.loads(job.settled) == {"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 10.0, "beta": None}
    assert job.tokens == 4 * sum(
        len("<user>double a<|end|><assistant>aa<|end|>".replace("<|end|>", "e")) for _ in chats()
    )
    words = [event.message for event in events]
    assert words[0] == "Files validated, moving job to queued state"
    assert words[1] == "Fine-tuning job started"
    assert words[-2:] == [f"New fine-tuned model created: {job.model}", "The job has successfully completed"]
    steps = [json.loads(event.data) for event in events if event.metrics]
    assert [each["step"] for each in steps] == list(range(1, 13))
    assert set(steps[-1]) == {
        "step",
        "total_steps",
        "train_loss",
        "train_mean_token_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    }
    assert steps[-1]["train_loss"] < steps[0]["train_loss"]
    checkpoints = (await shop.store.tuned.checkpoints(job.id, Cut(10))).rows
    assert [each.step for each in checkpoints] == [12, 9, 6]
    assert checkpoints[0].model == job.model
    assert [each.model.endswith(f":ckpt-step-{each.step}") for each in checkpoints[1:]] == [True, True]
    models = await shop.store.tuned.models(PROJECT)
    assert {each.name for each in models} == {each.model for each in checkpoints}
    assert all((shop.home / each.folder / "model.safetensors").is_file() for each in models)
    file = await shop.store.files.get(PROJECT, job.result_file)
    with await shop.store.files.open(file) as opened:
        lines = opened.read().decode().splitlines()
    assert lines[0] == "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
    assert len(lines) == 13


@pytest.mark.slow
async def test_a_tuned_model_is_learnt_on(shop):
    first, _ = await done(shop, chats())
    second, _ = await done(shop, chats(), model=first.model)
    assert second.status is Status.SUCCEEDED
    assert second.model.startswith("ft:small:local::")
    assert second.model != first.model


async def test_preferences_are_learnt_by_dpo(shop):
    job, events = await done(shop, pairs(), pairs(3), method="dpo")
    assert job.status is Status.SUCCEEDED
    steps = [json.loads(event.data) for event in events if event.metrics]
    assert steps[0]["train_loss"] == pytest.approx(0.6931, abs=1e-3)
    assert steps[-1]["train_reward_margin"] > 0
    assert {"train_reward_accuracy", "full_valid_reward_accuracy"} <= set(steps[-1])


@pytest.mark.slow
async def test_a_local_teachers_scores_are_matched(shop):
    save_base(shop.home / "models" / "large", seed=1, width=64)
    job, events = await done(shop, chats(), distillation=Distillation("large", weight=1.0))
    steps = [json.loads(event.data) for event in events if event.metrics]
    assert job.status is Status.SUCCEEDED
    assert steps[-1]["train_loss"] < steps[0]["train_loss"] < 1


@pytest.mark.slow
async def test_rows_that_are_too_long_are_cut_and_told(shop):
    _, events = await done(shop, [*chats(11), chat("double z", "z" * 500)])
    warned = [event for event in events if event.level == "warn"]
    assert [event.message for event in warned] == [
        "1 example(s) were longer than the model's context and were truncated"
    ]


@pytest.mark.slow
async def test_labels_on_stillhouse_auto_make_a_certified_bundle(shop):
    rows = [chat(f"{word} {number}", word) for word in ("refund", "parcel", "other") for number in range(60)]
    random.Random(0).shuffle(rows)
    job, events = await done(shop, rows, model="stillhouse/auto", distillation=Distillation(students=("words",)))
    assert job.status is Status.SUCCEEDED, job.error
    assert job.model.startswith("ft:stillhouse/auto:local::")
    [model] = await shop.store.tuned.models(PROJECT)
    assert model.kind is ModelKind.BUNDLE
    assert (shop.home / model.folder / "certificate.json").is_file()
    certificate = next(event for event in events if event.data and b"agreement" in event.data and not event.metrics)
    assert json.loads(certificate.data)["agreement"]
    metadata = orjson.loads(job.request)["metadata"]
    assert metadata["student"] == "words"
    assert metadata["certificate"]


async def test_free_text_on_stillhouse_auto_fails_with_the_reason(shop):
    rows = [chat(f"tell me of {number}", f"a story that is told once, number {number}") for number in range(60)]
    job, _ = await done(shop, rows, model="stillhouse/auto", distillation=Distillation(students=("words",)))
    assert job.status is Status.FAILED
    assert json.loads(job.error)["code"] == "invalid_training_file"


BAD = {
    "few": (chats(9), "invalid_n_examples", "Training file has 9 example(s), but must have at least 10 examples"),
    "role": (
        [*chats(), {"messages": [{"content": "x"}, {"role": "assistant", "content": "y"}]}],
        "invalid_training_file",
        "Example 13, message 1 Discriminator 'role' is missing",
    ),
    "key": ([chat("a", "b", extra=1), *chats()], "invalid_file_format", 'Example 1 contains an extra "extra".'),
    "method": (
        pairs(),
        "invalid_training_file",
        "in the fine-tune-preference format, but the job has method=supervised",
    ),
    "json": (b"{not json}\n", "invalid_training_file", "Line 1 is not valid JSON"),
}


@ON_BOTH
@pytest.mark.parametrize("name", BAD)
async def test_each_bad_file_fails_with_its_code_and_words(shop, name):
    rows, code, words = BAD[name]
    job, events = await done(shop, rows)
    error = json.loads(job.error)
    assert job.status is Status.FAILED
    assert (error["code"], error["param"]) == (code, "training_file")
    assert words in error["message"]
    assert events[-1].level == "error"
    assert events[-1].message == error["message"]


async def test_a_bad_validation_file_has_a_code_of_its_own(shop):
    job, _ = await done(shop, chats(), pairs(3))
    assert json.loads(job.error)["code"] == "invalid_validation_file"
    assert json.loads(job.error)["param"] == "validation_file"


@ON_BOTH
async def test_a_file_that_was_deleted_before_it_was_read_fails_the_job(shop):
    file = await add_file(shop.store, chats())
    job_id = await add_job(shop.store, NewJob("small", file))
    await shop.store.files.delete(PROJECT, file)
    await validate(shop, job_id)
    error = json.loads((await shop.store.jobs.find(job_id)).error)
    assert error == {
        "code": "deleted_training_file",
        "message": "The job failed because the training file was deleted",
        "param": "training_file",
    }


@pytest.mark.slow
async def test_a_job_that_comes_from_a_backup_reads_its_files_anew(shop):
    job_id = await add_job(shop.store, NewJob("small", await add_file(shop.store, chats()), hyperparameters=QUICK))
    await validate(shop, job_id)
    JobFolder.of(shop.home, job_id).remove()
    await learn(shop, job_id)
    assert (await shop.store.jobs.find(job_id)).status is Status.SUCCEEDED


async def test_a_base_model_that_has_gone_fails_the_job(shop):
    file = await add_file(shop.store, chats())
    job_id = await add_job(shop.store, NewJob("gone", file))
    await validate(shop, job_id)
    await learn(shop, job_id)
    assert json.loads((await shop.store.jobs.find(job_id)).error)["code"] == "training_error"


@ON_BOTH
async def test_an_error_of_ours_is_told_without_its_details(shop):
    job_id = await add_job(shop.store, NewJob("small", "file-1"))
    await note_failure(shop, job_id, ValueError("a secret detail"))
    error = json.loads((await shop.store.jobs.find(job_id)).error)
    assert error == {"code": "internal_error", "message": "The job failed due to an internal error.", "param": None}


async def stopped(shop: Shop, order: NewJob, status: Status) -> tuple[str, JobFolder]:
    """A job that was moved to a status while it learnt, once its training process has ended."""
    job_id = await add_job(shop.store, order)
    folder = JobFolder.of(shop.home, job_id)
    await validate(shop, job_id)
    course = asyncio.create_task(learn(shop, job_id))

    async def learning() -> bool:
        return any(folder.steps())

    await until(learning)
    moved = await shop.store.jobs.move(job_id, [Status.RUNNING], lambda job: replace(job, status=status))
    assert moved is not None, "it was done too soon"
    await asyncio.wait_for(course, 20)
    return job_id, folder


async def test_a_cancelled_job_is_let_go_at_once(shop):
    slow = Hyperparameters(n_epochs=50, batch_size=1)
    order = NewJob("small", await add_file(shop.store, chats()), hyperparameters=slow, seed=1)
    job_id, folder = await stopped(shop, order, Status.CANCELLED)
    told = folder.told()
    job = await shop.store.jobs.find(job_id)
    assert (job.status, job.result_file) == (Status.CANCELLED, None)
    assert not folder.has_rows
    await learn(shop, job_id)
    assert folder.told() == told


@pytest.mark.slow
@SLOWLY_ON_BOTH
async def test_a_paused_job_goes_on_once_it_is_resumed(shop):
    slow = Hyperparameters(n_epochs=10, batch_size=1)
    order = NewJob("small", await add_file(shop.store, chats(10)), hyperparameters=slow, seed=1)
    job_id, folder = await stopped(shop, order, Status.PAUSED)
    await learn(shop, job_id)  # an order that was on its way does nothing
    assert (await shop.store.jobs.find(job_id)).status is Status.PAUSED
    assert await shop.store.jobs.queue(job_id, Status.PAUSED, NewEvent("resumed:1", "resumed"))
    await learn(shop, job_id)
    assert (await shop.store.jobs.find(job_id)).status is Status.SUCCEEDED
    assert [line["step"] for line in folder.steps()] == list(range(1, 101))


@pytest.mark.slow
@ON_BOTH
async def test_killed_and_resumed_a_job_ends_with_the_same_weights_and_the_same_figures(shop, own_database):
    rows, asked = chats(26), Hyperparameters(n_epochs=12, batch_size=2, learning_rate_multiplier=3.0)
    whole, _ = await done(shop, rows, chats(4), hyperparameters=asked, seed=5)
    file, valid = await add_file(shop.store, rows), await add_file(shop.store, chats(4))
    order = NewJob("small", file, valid, hyperparameters=asked, seed=5)
    job_id = await add_job(shop.store, order)
    folder = JobFolder.of(shop.home, job_id)

    def beyond(step: int):
        async def there() -> bool:
            return any(line["step"] >= step for line in folder.steps())

        return there

    for step in (20, 60):
        with worker(shop.home, database=own_database, poll=0.1, checkpoint_every=0.1) as process:
            await until(beyond(step))
            process.kill()
            process.wait()
    with worker(shop.home, database=own_database, poll=0.1, checkpoint_every=0.1):
        job = await ended(shop.store, job_id)
    assert job.status is Status.SUCCEEDED
    weights = [
        (shop.home / "jobs" / each.id / "epochs" / "156" / "model.safetensors").read_bytes() for each in (whole, job)
    ]
    assert weights[0] == weights[1]
    again = (await shop.store.jobs.events(job_id, Cut(100))).rows
    first = (await shop.store.jobs.events(whole.id, Cut(100))).rows
    figures = [[event.data for event in page if event.metrics] for page in (first, again)]
    assert figures[0] == figures[1]
    assert len({event.message for event in again}) == len(again)
