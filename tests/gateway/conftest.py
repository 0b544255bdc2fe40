"""A gateway with students alone, a teacher, and a gateway with both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.teachers.api import TeacherApi
from stillhouse.teachers.asking import Patience
from tests.gateway.serving import LABELS, Keywords, Teacher, cascade_of, served


@pytest.fixture(scope="module")
def alone() -> Iterator[str]:
    """The URL of a gateway without a teacher."""
    with served(create_app(House.of([Keywords(), Keywords(LABELS)]))) as url:
        yield url


@pytest.fixture
def teacher() -> Teacher:
    return Teacher()


@pytest.fixture
def cascade(teacher: Teacher) -> Iterator[str]:
    """The URL of a gateway with a teacher behind it, who may take a second."""
    with served(teacher.app()) as upstream:
        api = TeacherApi(upstream, "large-1", "key", Patience(total=1.0, first_wait=0.01))
        with served(create_app(cascade_of(api))) as url:
            yield url


@pytest.fixture
def client():
    """Makes the unmodified SDK's client for a gateway's URL, strict about what it reads."""
    made = []

    def make(url: str) -> OpenAI:
        made.append(OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, _strict_response_validation=True))
        return made[-1]

    yield make
    for each in made:
        each.close()
