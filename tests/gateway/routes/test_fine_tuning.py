"""Fine-tuning through the unmodified SDK: the life of a job, and the states in which it can be moved."""

from __future__ import annotations

import time
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.crew import Crew
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import NewEvent, Status
from tests.gateway.serving import served
from tests.jobs.writers import chats, jsonl, pairs, save_base
from tests.storage.databases import SLOWLY_ON_BOTH


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home folder with the base models `small` and `org/small`."""
    folder = tmp_path_factory.mktemp("home")
    save_base(folder / "models" / "small")
    (folder / "stillhouse.toml").write_text('[models]\n"org/small" = "models/small"\n')
    return folder


@pytest.fixture(scope="module")
def url(home, database):
    """A gateway without a worker: jobs stay as they were ordered."""
    with served(create_app(House(), Shelf(database, home))) as url:
        yield url


@pytest.fixture
def sdk(url, client) -> OpenAI:
    return client(url)


@pytest.fixture
def file(sdk) -> str:
    return sdk.files.create(file=("rows.jsonl", jsonl(chats())), purpose="fine-tune").id


@SLOWLY_ON_BOTH
def test_the_whole_life_of_a_job(tmp_path, client, own_database):
    save_base(tmp_path / "models" / "small")
    house, crew = House(), Crew(own_database, tmp_path)
    house.enter(crew)
    with served(create_app(house, Shelf(own_database, tmp_path), wake=crew.wake)) as url:
        sdk = client(url)
        file = sdk.files.create(file=("rows.jsonl", jsonl(chats())), purpose="fine-tune")
        valid = sdk.files.create(file=("valid.jsonl", jsonl(chats(3))), purpose="fine-tune")
        job = sdk.fine_tuning.jobs.create(
            model="small",
            training_file=file.id,
            validation_file=valid.id,
            suffix="letters",
            metadata={"team": "a"},
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4, "batch_size": 4}}},
        )
        assert job.status == "validating_files"
        assert job.hyperparameters.learning_rate_multiplier == "auto"
        seen = [job.status]
        while job.status not in ("succeeded", "failed", "cancelled"):
            job = sdk.fine_tuning.jobs.retrieve(job.id)
            seen += [job.status] if job.status != seen[-1] else []
            time.sleep(0.05)
        order = ["validating_files", "queued", "running", "succeeded"]
        assert job.status == "succeeded", job.error
        assert [order.index(status) for status in seen] == sorted(order.index(status) for status in seen)
        assert job.fine_tuned_model.startswith("ft:small:local:letters:")
        assert job.hyperparameters.learning_rate_multiplier == 1.0
        assert job.trained_tokens > 0
        assert job.finished_at >= job.created_at
        events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=5))
        assert events[0].message == "The job has successfully completed"
        assert events[-1].message == f"Created fine-tuning job: {job.id}"
        assert len([event for event in events if event.type == "metrics"]) == 12
        checkpoints = list(sdk.fine_tuning.jobs.checkpoints.list(job.id, limit=2))
        assert [each.step_number for each in checkpoints] == [12, 9, 6]
        assert checkpoints[0].metrics.full_valid_loss > 0
        assert sdk.files.content(job.result_files[0]).text.startswith("step,train_loss,train_accuracy")
        names = {model.id for model in sdk.models.list()}
        for name in (job.fine_tuned_model, checkpoints[1].fine_tuned_model_checkpoint):
            assert name in names
            said = sdk.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "double a"}], max_tokens=4, temperature=0
            )
            assert said.model == name
        other = sdk.fine_tuning.jobs.create(model=job.fine_tuned_model, training_file=file.id)
        with pytest.raises(openai.BadRequestError, match="in use"):
            sdk.models.delete(job.fine_tuned_model)
        sdk.fine_tuning.jobs.cancel(other.id)
        assert sdk.models.delete(job.fine_tuned_model).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.models.retrieve(job.fine_tuned_model)


def test_a_job_is_ordered_shown_and_cancelled_at_once(sdk, file):
    job = sdk.fine_tuning.jobs.create(model="small", training_file=file, seed=7)
    assert (job.object, job.seed, job.organization_id) == ("fine_tuning.job", 7, "org-local")
    assert job.error is None
    assert sdk.fine_tuning.jobs.retrieve(job.id) == job
    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="cannot be cancelled: its status is 'cancelled'"):
        sdk.fine_tuning.jobs.cancel(job.id)


def test_a_seed_is_chosen_where_none_is_given(sdk, file):
    seeds = {sdk.fine_tuning.jobs.create(model="small", training_file=file).seed for _ in range(3)}
    assert len(seeds) == 3


def test_only_a_job_that_waits_or_runs_is_paused(sdk, file):
    job = sdk.fine_tuning.jobs.create(model="small", training_file=file)
    with pytest.raises(openai.BadRequestError, match="cannot be paused: its status is 'validating_files'"):
        sdk.fine_tuning.jobs.pause(job.id)
    with pytest.raises(openai.BadRequestError, match="cannot be resumed"):
        sdk.fine_tuning.jobs.resume(job.id)


async def test_a_job_in_the_queue_is_paused_and_put_back(url, home, database, file):
    sdk = OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)  # `paused` is no status that it knows
    job = sdk.fine_tuning.jobs.create(model="small", training_file=file)
    store = await Store.open(database, home)
    await store.jobs.queue(job.id, Status.VALIDATING, NewEvent("validated", "Files validated"))
    await store.close()
    assert sdk.fine_tuning.jobs.pause(job.id).status == "paused"
    assert sdk.fine_tuning.jobs.retrieve(job.id).status == "paused"
    assert sdk.fine_tuning.jobs.resume(job.id).status == "queued"
    events = [event.message for event in sdk.fine_tuning.jobs.list_events(job.id)]
    assert events[:2] == ["Fine-tuning job resumed", "Fine-tuning job paused"]
    sdk.close()


def test_jobs_are_listed_newest_first_and_by_metadata(sdk, file):
    made = [
        sdk.fine_tuning.jobs.create(model="small", training_file=file, metadata={"n": str(number), "listed": "yes"}).id
        for number in range(3)
    ]
    listed = [job.id for job in sdk.fine_tuning.jobs.list(limit=2, metadata={"listed": "yes"})]
    assert listed == made[::-1]
    assert [job.id for job in sdk.fine_tuning.jobs.list(metadata={"n": "1", "listed": "yes"})] == [made[1]]
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.fine_tuning.jobs.list(after="ftjob-none")
    assert refused.value.param == "after"


def test_a_base_models_name_may_hold_a_slash(sdk, file):
    assert sdk.fine_tuning.jobs.create(model="org/small", training_file=file).model == "org/small"


def test_dpo_is_ordered_and_has_its_hyperparameters_in_one_place(url):
    sdk = OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
    file = sdk.files.create(file=("rows.jsonl", jsonl(pairs())), purpose="fine-tune").id
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    job = sdk.fine_tuning.jobs.create(model="small", training_file=file, method=method)
    assert job.method.dpo.hyperparameters.beta == 0.2
    assert job.hyperparameters is None
    sdk.close()


REFUSED = {
    "model": ({"model": "none"}, "model_not_available", None),
    "a model that is not tuned yet": ({"model": "ft:small:local::12345678"}, "model_not_available", None),
    "file": ({"training_file": "file-none"}, None, "training_file"),
    "validation": ({"validation_file": "file-none"}, None, "validation_file"),
    "teacher": ({"extra_body": {"distillation": {"teacher": "x"}}}, "model_not_available", "distillation.teacher"),
    "auto by dpo": ({"model": "stillhouse/auto", "method": {"type": "dpo"}}, "unsupported_feature", "method"),
    "students": (
        {"extra_body": {"distillation": {"students": ["words"]}}},
        "invalid_value",
        "distillation.students",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_never_be_done_is_refused_at_once(sdk, file, name):
    more, code, param = REFUSED[name]
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.fine_tuning.jobs.create(**{"model": "small", "training_file": file, **more})
    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_file_for_something_else_is_refused(sdk):
    file = sdk.files.create(file=("rows.jsonl", jsonl(chats())), purpose="user_data").id
    with pytest.raises(openai.BadRequestError, match="invalid training_file") as refused:
        sdk.fine_tuning.jobs.create(model="small", training_file=file)
    assert refused.value.param == "training_file"


def test_a_job_that_is_not_there_is_not_found(sdk):
    for ask in (
        sdk.fine_tuning.jobs.retrieve,
        sdk.fine_tuning.jobs.cancel,
        sdk.fine_tuning.jobs.pause,
        sdk.fine_tuning.jobs.resume,
        sdk.fine_tuning.jobs.list_events,
        sdk.fine_tuning.jobs.checkpoints.list,
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            ask("ftjob-none")
        assert refused.value.code == "fine_tune_not_found"


async def test_a_foreign_project_sees_neither_jobs_nor_models(tmp_path, own_database):
    save_base(tmp_path / "models" / "small")
    store = await Store.open(own_database, tmp_path)
    secrets = [(await store.keys.create(project, project, [Scope.ADMIN]))[1] for project in ("one", "two")]
    await store.close()
    shelf = Shelf(own_database, tmp_path)
    with served(create_app(House(), shelf, Gate(shelf))) as url:
        one, two = (OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) for secret in secrets)
        file = one.files.create(file=("rows.jsonl", jsonl(chats())), purpose="fine-tune").id
        job = one.fine_tuning.jobs.create(model="small", training_file=file)
        with pytest.raises(openai.NotFoundError):
            two.fine_tuning.jobs.retrieve(job.id)
        with pytest.raises(openai.NotFoundError):
            two.fine_tuning.jobs.cancel(job.id)
        with pytest.raises(openai.BadRequestError, match="invalid training_file"):
            two.fine_tuning.jobs.create(model="small", training_file=file)
        assert list(two.fine_tuning.jobs.list()) == []
        for each in (one, two):
            each.close()
