"""Many questions to a real server: as many at once as wanted, each kept as it comes, trouble told from refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stillhouse.errors import TeacherError
from stillhouse.generation.ask import PATIENCE, ask_all
from stillhouse.teachers.api import TeacherApi
from stillhouse.teachers.asking import Patience
from tests.gateway.serving import served
from tests.generation.endpoint import Endpoint

QUICK = Patience(total=5.0, connect=1.0, retries=1, first_wait=0.01)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint(pause=0.05)


@pytest.fixture
def url(endpoint) -> Iterator[str]:
    with served(endpoint.app()) as url:
        yield url


def asked(*words: str) -> dict[str, bytes]:
    return {text: json.dumps({"messages": [{"role": "user", "content": text}]}).encode() for text in words}


def test_every_question_is_answered_so_many_at_once(url, endpoint):
    kept = {}
    names = [f"question {number}" for number in range(12)]
    assert ask_all(TeacherApi(url, "large", "secret", QUICK), asked(*names), kept.__setitem__, 4) == {}
    assert {name: answer["message"]["content"] for name, answer in kept.items()} == {name: name[::-1] for name in names}
    assert (endpoint.most, len(endpoint.asked)) == (4, 12)
    assert set(endpoint.keys) == {"Bearer secret"}
    assert {call["model"] for call in endpoint.asked} == {"large"}


def test_refused_questions_and_unheard_ones_do_not_keep_others_waiting(url, endpoint):
    kept = {}
    words = asked("refuse me", "one", "fail here", "two", "empty-handed")
    unheard = ask_all(TeacherApi(url, "large", None, QUICK), words, kept.__setitem__, 1)
    assert set(kept) == {"one", "two", "refuse me"}
    assert kept["refuse me"]["refused"].endswith("status 400. It says: This is against our policy.")
    assert set(unheard) == {"fail here", "empty-handed"}
    assert "status 500" in unheard["fail here"]
    assert "holds no choice" in unheard["empty-handed"]


@pytest.mark.parametrize(
    ("model", "words", "said", "times"),
    [
        ("nobody", "some", r"status 404\. It says: The model nobody does not exist", 1),
        ("large", "refuse", r"status 400\. It says: This is against our policy", 5),
        ("large", "fail", "status 500", 10),
    ],
)
def test_where_asking_on_is_useless_it_ends(url, endpoint, model, words, said, times):
    kept = {}
    questions = asked(*(f"{words} {number}" for number in range(40)))
    with pytest.raises(TeacherError, match=said):
        ask_all(TeacherApi(url, model, None, QUICK), questions, kept.__setitem__, 1)
    assert (len(endpoint.asked), kept) == (times, {})


def test_what_came_before_the_trouble_is_kept(url):
    kept = {}
    questions = asked("first", *(f"refuse {number}" for number in range(40)))
    with pytest.raises(TeacherError, match="against our policy"):
        ask_all(TeacherApi(url, "large", None, QUICK), questions, kept.__setitem__, 1)
    assert len(kept) == 6
    assert PATIENCE.retries > QUICK.retries
