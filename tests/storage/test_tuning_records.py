"""Records of fine-tuning: which states are ends."""

from __future__ import annotations

from stillhouse.storage.tuning_records import Status


def test_three_states_are_ends():
    assert {str(status) for status in Status if status.final} == {"succeeded", "failed", "cancelled"}
