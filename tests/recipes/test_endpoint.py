"""The section that names a teacher behind an API, and what it refuses."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.endpoint import ApiSection

URL = "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"url": "localhost:8000"}, "no address of an API"),
        ({"url": "http://user:word@localhost:8000"}, "url holds a user or a password"),
        ({"at_once": 0}, "at_once must be 1 or more; it is 0"),
        ({"request": {"temperature": 0, "messages": []}}, "request sets 'messages', which follows"),
        ({"ask": "Which of {labels}?"}, r"ask has no \{text\}"),
        ({"labels": ("a", "b", "a")}, "labels names one of them twice"),
    ],
)
def test_what_cannot_be_asked_is_refused(section, said):
    with pytest.raises(UsageError, match=said):
        ApiSection(**{"url": URL, "model": "large", **section})


def test_labels_are_those_it_names_or_those_of_the_rows():
    section = ApiSection(url=URL, model="large")
    assert section.known_labels(["b", None, "a", "b"]) == ("a", "b")
    assert ApiSection(url=URL, model="large", labels=("z", "y")).known_labels(["b", "a"]) == ("y", "z")
    for answers in (None, [None, "a"], [0, 1]):
        with pytest.raises(UsageError, match=r"set teacher\.api\.labels, or give rows with labels by name"):
            section.known_labels(answers)
