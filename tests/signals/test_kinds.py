"""What a teacher tells is named by a closed list that reads as plain words."""

from __future__ import annotations

import pytest

from stillhouse.signals.kinds import Kind


def test_a_kind_reads_as_its_name():
    assert [str(kind) for kind in Kind] == [kind.name.lower() for kind in Kind]
    assert Kind("logits") is Kind.LOGITS


def test_the_list_is_closed():
    with pytest.raises(ValueError, match="vibes"):
        Kind("vibes")
