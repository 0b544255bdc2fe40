"""Reviews are in one of three states, written as clients read them."""

from __future__ import annotations

import pytest

from stillhouse.storage.feedback_records import ReviewState
from stillhouse.wire.feedback import STATES


def test_clients_know_every_state():
    assert tuple(ReviewState) == STATES
    with pytest.raises(ValueError, match="lost"):
        ReviewState("lost")
