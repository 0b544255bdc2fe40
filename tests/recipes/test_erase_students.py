"""Students: who learnt is found by use and by job, marked, and told how to learn again."""

from __future__ import annotations

import json
import tomllib

import orjson
import pytest

from stillhouse.bundle.erased import read_marks
from stillhouse.recipes.erase_students import Learner, Left, find_learners, mark_learners, write_retraining
from stillhouse.storage.dataset_records import StoredUse
from stillhouse.storage.store import Store


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(None, tmp_path)
    yield store
    await store.close()


async def test_who_learnt_from_a_version_is_found_by_its_use(store, tmp_path):
    for folder in ("a", "b"):
        await store.datasets.used("default", StoredUse(("mail", 1), "bundle", str(tmp_path / folder), 1))
    await store.datasets.used("default", StoredUse(("mail", 2), "bundle", str(tmp_path / "c"), 1))
    found = await find_learners(store, "default", tmp_path, {"mail@1": 3}, {})
    assert [(each.name, each.data, each.rows) for each in found] == [("a", "mail@1", 3), ("b", "mail@1", 3)]
    assert await find_learners(store, "other", tmp_path, {"mail@1": 3}, {}) == []


def test_marks_are_put_where_the_folder_is_and_the_others_told(tmp_path):
    (tmp_path / "there").mkdir()
    learners = [Learner(name, tmp_path / name, "bundle", "mail@1", 3) for name in ("there", "gone")]
    told = mark_learners(learners, "erasure-1", "2026-11-22", {"mail@1": "mail@2"}, withdraw=True)
    assert [(each["marked"], each["withdrawn"]) for each in told] == [(True, True), (False, False)]
    [mark] = read_marks(tmp_path / "there")
    assert (mark.successor, mark.withdrawn) == ("mail@2", True)


def test_a_training_run_is_told_with_its_data_swapped(tmp_path):
    folder = tmp_path / "student"
    folder.mkdir()
    data = {"train": "/home/datasets/default/mail/1/rows.jsonl", "test": "mail@9", "tokens": 64, "selection": None}
    recipe = {"task": "chat", "data": data, "teacher": {"model": None}, "out": "student", "seed": 3}
    (folder / "record.json").write_text(json.dumps({"recipe": recipe}))
    learner = Learner("student", folder, "training", "mail@1", 3)
    command = write_retraining(tmp_path / "again", learner, "erasure-1", Left("default", {"mail@1": "mail@2"}))
    assert command == f"stillhouse run {tmp_path / 'again' / 'student.toml'}"
    told = tomllib.loads((tmp_path / "again" / "student.toml").read_text())
    assert told["data"] == {"train": "mail@2", "test": "mail@9", "tokens": 64}
    assert told["out"] == f"{folder}-again"
    assert "teacher" not in told


@pytest.mark.parametrize("bundle", [True, False])
def test_a_compressed_model_is_told_as_the_command_that_compresses_it_again(bundle, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    command = "stillhouse compress 'my model' --data mail@1 --selection=mail@2 --test mail@3 --target-mb 5 --out small"
    (folder / "compression.json").write_text(json.dumps({"run": {"command": command}}))
    if bundle:
        (folder / "stillhouse.json").write_text("{}")
    learner = Learner("small", folder, "compression", "mail@1", 3)
    left = Left("default", {"mail@1": "mail@4", "mail@2": None})
    again = write_retraining(tmp_path / "again", learner, "erasure-1", left)
    words = f"stillhouse compress 'my model' --data mail@4 --test mail@3 --target-mb 5 --out {folder}-again"
    assert again == words
    [place] = (tmp_path / "again").iterdir()
    told = place.read_text().splitlines()
    assert [line for line in told if not line.startswith("#")] == [words]
    assert any("mail@1, which lost 3 rows" in line for line in told)


@pytest.mark.parametrize("command", ["", "stillhouse compress model --data mail@2 --test mail@1 --out small"])
def test_where_a_program_compressed_it_or_no_rows_are_left_no_command_is_made_up(command, tmp_path):
    (tmp_path / "compression.json").write_text(json.dumps({"run": {"command": command}}))
    learner = Learner("small", tmp_path, "compression", "mail@1", 3)
    left = Left("default", {"mail@1": "mail@4", "mail@2": None})
    assert write_retraining(tmp_path / "again", learner, "e", left) is None


def test_a_job_is_told_as_the_request_that_ordered_it(tmp_path):
    learner = Learner("ft:base:x", tmp_path, "job", "file-1", 2, "ftjob-1")
    command = write_retraining(
        tmp_path / "again", learner, "e", Left("default", {"file-1": "file-1"}), {"training_file": "file-1"}
    )
    assert command is not None
    assert "/v1/fine_tuning/jobs" in command
    assert orjson.loads((tmp_path / "again" / "ft-base-x.json").read_bytes()) == {"training_file": "file-1"}


def test_where_nothing_is_left_there_is_no_recipe(tmp_path):
    learner = Learner("student", tmp_path, "bundle", "mail@1", 3)
    assert write_retraining(tmp_path / "again", learner, "e", Left("default", {"mail@1": None})) is None
    assert write_retraining(tmp_path / "again", learner, "e", Left("default", {"mail@1": "mail@2"})) is None


@pytest.mark.parametrize(
    ("version", "project", "named"),
    [
        ("support@3", None, "acme/support@4"),
        ("support@3", "acme", "acme/support@4"),
        ("other@1", "acme", "acme/other@1"),
        ("support@3", "default", "support@3"),
        ("support@3", "shop", "shop/support@3"),
        ("gone@1", "acme", None),
    ],
)
def test_every_version_is_named_with_its_project(version, project, named):
    assert Left("acme", {"support@3": "support@4", "gone@1": None}).of(version, project) == named


def test_a_training_run_in_a_project_is_told_what_that_has_left(tmp_path):
    folder = tmp_path / "student"
    folder.mkdir()
    data = {"train": "acme/mail@1", "selection": "/home/datasets/acme/mail/1/rows.jsonl", "test": "mail@1"}
    (folder / "record.json").write_text(json.dumps({"recipe": {"data": data}}))
    write_retraining(
        tmp_path / "again", Learner("student", folder, "training", "mail@1", 3), "e", Left("acme", {"mail@1": "mail@2"})
    )
    told = tomllib.loads((tmp_path / "again" / "student.toml").read_text())
    assert told["data"] == {"train": "acme/mail@2", "selection": "acme/mail@2", "test": "mail@1"}
