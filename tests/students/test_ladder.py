"""The ladder goes from cheapest to dearest, and wrong names are told what was meant."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.students.ladder import climb


def names(given: tuple[str, ...], layers: int) -> list[str]:
    return [rung.name for rung in climb(given, layers)]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (6, ["words", "static", "encoder-2", "encoder-3", "encoder-6"]),
        (12, ["words", "static", "encoder-4", "encoder-6", "encoder-12"]),
        (2, ["words", "static", "encoder-1", "encoder-2"]),
        (1, ["words", "static", "encoder-1"]),
        (0, ["words", "static"]),
    ],
)
def test_auto_is_every_family(layers, expected):
    assert names(("auto",), layers) == expected


def test_named_rungs_come_cheapest_first_and_once():
    assert names(("encoder-4", "words", "encoder-2", "words"), 6) == ["words", "encoder-2", "encoder-4"]


def test_auto_may_stand_beside_others():
    assert names(("encoder-5", "auto"), 6) == ["words", "static", "encoder-2", "encoder-3", "encoder-5", "encoder-6"]


@pytest.mark.parametrize(
    ("name", "layers", "message"),
    [
        ("word", 6, r"no student 'word'.*Did you mean words\?"),
        ("encoder-0", 6, "no student 'encoder-0'"),
        ("encoder", 6, r"Did you mean encoder-2\?"),
        ("zzz", 6, "choose auto, or of words, static, encoder-K.$"),
        ("encoder-2", 0, "encoder-2 needs an encoder"),
        ("encoder-7", 6, "encoder-7 cannot be cut from an encoder of 6 layers"),
    ],
)
def test_a_rung_that_is_not_there_is_refused(name, layers, message):
    with pytest.raises(UsageError, match=message):
        climb((name,), layers)
