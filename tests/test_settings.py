from __future__ import annotations

import os
from pathlib import Path

import pytest

from stillhouse import settings
from stillhouse.errors import UsageError


def test_home_is_the_option_then_the_environment_then_here(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_HOME", "/from/environment")
    assert settings.home(Path("/chosen")) == Path("/chosen")
    assert settings.home() == Path("/from/environment")
    monkeypatch.setenv("STILLHOUSE_HOME", "")
    assert settings.home() == Path(".stillhouse")


def test_a_secret_is_read_without_the_newline_that_files_leave(monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-1\n")
    assert settings.secret("TEACHER_KEY") == "sk-1"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_secret_is_wrong_use_and_names_the_variable(value, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", value)
    with pytest.raises(UsageError, match="export TEACHER_KEY="):
        settings.secret("TEACHER_KEY")
    with pytest.raises(UsageError, match=r"Set it to the key of redaction: export TEACHER_KEY"):
        settings.secret("TEACHER_KEY", "the key of redaction")


@pytest.mark.parametrize(
    ("value", "wanted"), [("", "auto"), ("auto", "auto"), ("plain", "plain"), ("triton", "triton")]
)
def test_kernels_are_chosen_by_one_of_three_words(value, wanted, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_KERNELS", value)
    assert settings.kernels() == wanted


def test_another_word_for_kernels_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_KERNELS", "fast")
    with pytest.raises(UsageError, match="`fast`; it must be auto, plain or triton"):
        settings.kernels()


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("0", False), ("", False)])
def test_debug_is_asked_for_by_one(value, wanted, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_DEBUG", value)
    assert settings.debug() is wanted


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "1000"}, {"GOMP_SPINCOUNT": "1000"}),
    ],
    ids=str,
)
def test_threads_that_wait_give_up_their_core_unless_the_user_says_how(given, after, monkeypatch):
    monkeypatch.setattr(settings.os, "environ", dict(given))
    settings.share_cores()
    assert settings.os.environ == after


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}, (1, 2)),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, None),
        ({}, None),
    ],
    ids=["one of two", "alone", "without a place to meet", "without a launcher"],
)
def test_a_process_knows_the_others_of_its_launcher(given, wanted, monkeypatch):
    monkeypatch.setattr(settings.os, "environ", dict(given))
    assert settings.launched() == wanted


def test_processes_share_the_cores_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with settings.threads_shared_among(10_000):
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with settings.threads_shared_among(2):
        assert os.environ["OMP_NUM_THREADS"] == "7"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_variables_of_a_library_are_forgotten_by_their_beginning(monkeypatch):
    monkeypatch.setenv("OTHERS__KEY", "x")
    monkeypatch.setenv("OTHER", "y")
    settings.forget("OTHERS_")
    assert "OTHERS__KEY" not in os.environ
    assert os.environ["OTHER"] == "y"


def test_the_database_is_the_option_then_the_environment(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_DATABASE", "sqlite:///a.db")
    assert settings.database("sqlite:///b.db") == "sqlite:///b.db"
    assert settings.database() == "sqlite:///a.db"
    monkeypatch.setenv("STILLHOUSE_DATABASE", "")
    assert settings.database() is None


def test_whether_a_variable_is_set_is_told_without_its_value(monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", " ")
    assert not settings.is_set("TEACHER_KEY")
    monkeypatch.setenv("TEACHER_KEY", "sk-1")
    assert settings.is_set("TEACHER_KEY")


@pytest.mark.parametrize(("told", "threads"), [("3", 3), ("2,4", 2), ("", None), ("0", None), ("many", None)])
def test_threads_are_as_many_as_whoever_started_this_says(told, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert settings.threads() == threads


def test_the_master_key_is_in_the_environment_or_in_a_file_that_it_names(monkeypatch):
    for name in ("STILLHOUSE_MASTER_KEY", "STILLHOUSE_MASTER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert settings.master_key() is None
    assert settings.master_key_file() is None
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY", " shmk-1\n")
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY_FILE", "/run/key")
    assert settings.master_key() == "shmk-1"
    assert settings.master_key_file() == Path("/run/key")
    assert settings.master_key_file(Path("/chosen")) == Path("/chosen")
