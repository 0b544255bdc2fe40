"""The end of a job: one results file however often it is tried, and metadata that leaves the client's own."""

from __future__ import annotations

import json
from dataclasses import replace

from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.publish import publish
from stillhouse.jobs.workflows import Shop
from stillhouse.storage.jobs import Made
from stillhouse.storage.records import Cut
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import Status, TuningCheckpoint
from stillhouse.wire.fine_tuning import NewJob, read_job
from tests.jobs.working import PROJECT, add_job


async def test_a_job_is_published_once_and_only_by_its_worker(tmp_path, own_database):
    store = await Store.open(own_database, tmp_path)
    asked = NewJob("small", "file-1", metadata={"student": "mine", "team": "a"})
    job_id = await add_job(store, asked)
    checkpoint = TuningCheckpoint("ftckpt_1", job_id, 1, 4, "ft:small:local::x", b"{}")

    def run(job):
        return replace(job, status=Status.RUNNING, owner="w", model="ft:small:local::x")

    job = await store.jobs.move(job_id, list(Status), run, made=Made(checkpoints=[(checkpoint, None)]))
    folder = JobFolder.of(tmp_path, job_id)
    folder.write_rows("train", [])
    folder.tell({"step": 1, "train_loss": 0.5, "train_mean_token_accuracy": 0.25})
    more = {"student": "words", "certificate": "holds"}
    await publish(Shop(store, tmp_path, "other"), job, asked, folder, more)
    assert (await store.jobs.find(job_id)).status is Status.RUNNING
    await publish(Shop(store, tmp_path, "w"), job, asked, folder, more)
    done = await store.jobs.find(job_id)
    assert done.status is Status.SUCCEEDED
    assert read_job(done.request).metadata == {"student": "mine", "team": "a", "certificate": "holds"}
    [file] = (await store.files.page(PROJECT, "fine-tune-results", Cut(10))).rows
    assert file.id == done.result_file
    with await store.files.open(file) as opened:
        assert opened.read().decode().splitlines() == [
            "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
            "1,0.50000,0.25000,,",
        ]
    [model] = await store.tuned.models(PROJECT)
    assert (model.name, model.folder) == ("ft:small:local::x", f"jobs/{job_id}/epochs/4")
    assert json.loads(done.request)["model"] == "small"
    await store.close()
