"""The training process: one at a time in a folder, ended by the end of its pipe, its failures told."""

from __future__ import annotations

import fcntl
import subprocess
import sys

import pytest

from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.teach import main
from tests.jobs.writers import chats, save_base


@pytest.fixture
def folder(tmp_path) -> JobFolder:
    """A job's folder with a plan that takes a moment."""
    made = JobFolder(tmp_path / "job")
    made.write_rows("train", chats())
    tune = {"method": "supervised", "epochs": 2, "batch": 12, "rate": 1.0, "beta": 0.1, "seed": 0, "match": None}
    made.write_plan({"tune": {"base": str(save_base(tmp_path / "base")), **tune}})
    return made


def test_it_tells_steps_and_that_it_is_done(folder):
    assert main(str(folder.path)) == 0
    lines, _ = folder.told()
    assert [line["step"] for line in lines if "step" in line] == [1, 2]
    assert [line["kept"] for line in lines if "kept" in line] == [1, 2]
    assert lines[-1] == {"done": True}


def test_a_row_that_cannot_be_learnt_from_is_told(folder):
    folder.write_rows("train", [{"messages": [{"role": "user", "content": "x"}]}])
    assert main(str(folder.path)) == 0
    assert folder.told()[0][-1]["code"] == "invalid_training_file"


def test_a_crash_is_told_without_a_traceback(folder, capsys):
    plan = folder.read_plan()
    folder.write_plan({"tune": plan["tune"] | {"epochs": "two"}})
    assert main(str(folder.path)) == 0
    told = folder.told()[0][-1]
    assert told["code"] == "training_error"
    assert told["failed"].startswith("The training failed: TypeError")
    assert "Traceback" in capsys.readouterr().err


def test_it_waits_for_another_and_ends_with_its_pipe(folder):
    with folder.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "stillhouse.jobs.teach", str(folder.path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        assert folder.told() == ([], 0)
        process.stdin.close()
        assert process.wait(20) == 1
