"""What a job tells, in the words that clients know."""

from __future__ import annotations

import json

from stillhouse.jobs.told import checkpoint_event, created_events, note_event, rung_event, step_event
from stillhouse.wire.fine_tuning import NewJob


def test_a_new_job_tells_its_id_and_files():
    words = [event.message for event in created_events("ftjob-1", NewJob("m", "file-1", "file-2"))]
    assert words == [
        "Created fine-tuning job: ftjob-1",
        "Validating training file: file-1 and validation file: file-2",
    ]
    assert created_events("j", NewJob("m", "file-1"))[1].message == "Validating training file: file-1"


def test_a_step_tells_the_losses_that_there_are():
    figures = {"train_loss": 1.234, "valid_loss": 2.0, "full_valid_loss": 3.0}
    event = step_event(2, 9, figures)
    assert event.message == "Step 2/9: training loss=1.23, validation loss=2.00, full validation loss=3.00"
    assert json.loads(event.data) == {"step": 2, "total_steps": 9, **figures}
    assert step_event(2, 9, {"train_loss": 1.0}).message == "Step 2/9: training loss=1.00"


def test_checkpoints_rungs_and_notes_have_keys_that_repeat():
    assert checkpoint_event(3, "ft:x").message == "Checkpoint created at step 3 with Snapshot ID: ft:x"
    assert rung_event(1, "words", 0.9).message == "Step 1: the student words agrees with 90.0% of the answers held out"
    assert note_event("a", False).key == note_event("a", True).key != note_event("b", False).key
    assert note_event("a", True).level == "warn"
