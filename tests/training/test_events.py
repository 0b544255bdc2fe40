"""What a run says are plain records that anybody may listen to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from stillhouse.training.events import Note, Progress, StageDone, StageStarted, silent


def test_a_listener_may_show_nothing():
    for event in (StageStarted("words", "Words"), Progress("words", 1, 2), StageDone("words", "", True, 0.1)):
        assert silent(event) is None


def test_an_event_does_not_change_on_its_way():
    with pytest.raises(FrozenInstanceError):
        Note("careful").warning = True
