"""What is kept, from words and back, and what each form lets an objective learn from."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.signals.keep import EMBEDDING, Keep, hidden_name
from stillhouse.signals.kinds import Kind


@pytest.mark.parametrize(
    ("words", "tells"),
    [
        (("topk:50",), {Kind.SOFT, Kind.TOP}),
        (("samples:8",), {Kind.SOFT}),
        (("hidden:-1,0,11",), {Kind.HIDDEN}),
        ((EMBEDDING,), {Kind.EMBEDDING}),
        (("topk:5", "hidden:2", EMBEDDING), {Kind.SOFT, Kind.TOP, Kind.HIDDEN, Kind.EMBEDDING}),
    ],
)
def test_words_say_what_can_be_learnt(words, tells):
    keep = Keep.of(words)
    assert keep.words == words
    assert keep.tells == tells


def test_order_and_repetition_change_nothing():
    keep = Keep.of(["embedding", "hidden:5,0,5", "topk:9"])
    assert keep == Keep("topk", 9, (0, 5), True)
    assert keep.words == ("topk:9", "hidden:0,5", "embedding")
    assert keep.extras == (hidden_name(0), hidden_name(5), EMBEDDING)
    assert Keep.of("topk:9") == Keep.of(["topk:9"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("top:50", r"keep = 'top:50' is none of"),
        ("topk:0", "none of"),
        ("hidden:", "none of"),
        ("hidden:-2", "none of"),
        (["topk:5", "samples:5"], "keep names samples after another of its kind"),
        (["hidden:1", "hidden:2"], "keep names hidden after another"),
        ([], "keep names nothing"),
    ],
)
def test_what_is_no_form_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        Keep.of(words)
