"""What `auto` comes to, and that names follow from jobs."""

from __future__ import annotations

import re

import pytest

from stillhouse.jobs.settle import checkpoint_name, model_name, settle
from stillhouse.wire.fine_tuning import Hyperparameters, Settled


@pytest.mark.parametrize(
    ("rows", "epochs", "batch"), [(10, 10, 1), (33, 3, 1), (34, 3, 1), (640, 3, 10), (10_000, 2, 64), (100_000, 1, 64)]
)
def test_auto_shows_few_rows_often_and_many_rows_once(rows, epochs, batch):
    assert settle(Hyperparameters(), "supervised", rows) == Settled(epochs, batch, 1.0)


def test_what_was_asked_for_stays():
    assert settle(Hyperparameters(7, 3, 0.5, 0.2), "dpo", 10) == Settled(7, 3, 0.5, 0.2)
    assert settle(Hyperparameters(), "dpo", 10).beta == 0.1


def test_names_follow_from_the_job_and_differ_between_jobs():
    name = model_name("org/x", "s", "ftjob-1")
    assert re.fullmatch(r"ft:org/x:local:s:[0-9A-Za-z]{8}", name)
    assert model_name("org/x", "s", "ftjob-1") == name
    assert model_name("org/x", None, "ftjob-2").startswith("ft:org/x:local::")
    checkpoint = checkpoint_name("org/x", "s", "ftjob-1", 12)
    assert re.fullmatch(r"ft:org/x:local:s:[0-9A-Za-z]{8}:ckpt-step-12", checkpoint)
    assert name not in checkpoint
