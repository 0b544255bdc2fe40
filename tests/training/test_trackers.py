"""Figures are kept line by line and go on after a kill; trackers get them where they are installed."""

from __future__ import annotations

import json
import math

import pytest

from stillhouse.errors import MissingExtra, UsageError
from stillhouse.extras import missing
from stillhouse.training.loop import train
from stillhouse.training.trackers import TRACKERS, MetricsFile, Run, Tracking
from tests.training.pupils import SCHEDULE, Dying, Killed, lesson, pupil, source, watch


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def run(tmp_path) -> Run:
    return Run("a run", tmp_path / "runs", {"rate": 0.1, "objective": "forward_kl"})


def test_each_step_is_a_line(run):
    with Tracking(run) as tracking:
        tracking(1, {"loss": 2.5})
        tracking(2, {"loss": 1.5, "kl_to_teacher": 0.25})
    assert lines(run.folder) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5, "kl_to_teacher": 0.25}]


def test_what_is_no_number_is_null(run):
    with Tracking(run) as tracking:
        tracking(1, {"loss": math.nan, "rate": math.inf})
    assert lines(run.folder) == [{"step": 1, "loss": None, "rate": None}]


def test_steps_that_are_taken_again_are_written_once(run):
    for steps in (range(1, 6), range(4, 8)):
        with Tracking(run) as tracking:
            for step in steps:
                tracking(step, {"loss": step / 2})
    assert [line["step"] for line in lines(run.folder)] == list(range(1, 8))


def test_a_torn_line_is_left_out(run):
    run.folder.mkdir()
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "lo')
    file = MetricsFile(run, 2)
    file.log(2, {"loss": 0.5})
    file.close()
    assert [line["step"] for line in lines(run.folder)] == [1, 2]


def test_nothing_is_opened_before_there_are_figures(run):
    Tracking(run).close()
    assert not run.folder.exists()


def test_a_killed_run_leaves_the_figures_of_one_that_was_not(tmp_path):
    def taught(folder, last: int | None) -> None:
        made = lesson(pupil("static"), teacher=source() if last is None else Dying(source(), last))
        with Tracking(Run("a run", folder)) as tracking:
            options = {"log": tracking, "log_every": 1, "checkpoint": folder / "point", "checkpoint_every": 0}
            train(made, SCHEDULE, watch(**options))

    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    taught(tmp_path / "whole", None)
    for last in (4, 7):
        with pytest.raises(Killed):
            taught(tmp_path / "killed", last)
    taught(tmp_path / "killed", None)
    whole, killed = lines(tmp_path / "whole"), lines(tmp_path / "killed")
    assert [(line["step"], line["loss"], line["kl_to_teacher"]) for line in killed] == [
        (line["step"], line["loss"], line["kl_to_teacher"]) for line in whole
    ]


def test_an_unknown_tracker_is_refused(run):
    with pytest.raises(UsageError, match="no tracker 'tensorbored'; choose tensorboard"):
        Tracking(run, ["tensorbored"])


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_gets_the_figures_or_says_what_to_install(name, run, tmp_path, monkeypatch):
    package = TRACKERS[name][0]
    if missing([package]):
        with pytest.raises(MissingExtra, match=f"pip install {package}"):
            Tracking(run, [name])
        return
    for variable, value in PLACES.items():
        monkeypatch.setenv(variable, value.format(folder=tmp_path))
    with Tracking(run, [name]) as tracking:
        for step in (1, 2):
            tracking(step, {"loss": 1 / step})
    assert len(lines(run.folder)) == 2
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "metrics.jsonl"]
    assert sum(path.stat().st_size for path in written) > 0


PLACES = {
    "WANDB_MODE": "offline",
    "MLFLOW_TRACKING_URI": "sqlite:///{folder}/mlflow.db",
    "TRACKIO_DIR": "{folder}/trackio",
}
"""Where trackers write that would otherwise write elsewhere, or speak to another machine."""
