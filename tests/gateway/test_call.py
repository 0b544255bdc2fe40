"""One call over the wire, and what is said when it fails."""

from __future__ import annotations

import pytest

from stillhouse.chat import Message
from stillhouse.errors import StillhouseError
from stillhouse.gateway.app import create_app
from stillhouse.gateway.call import call_once
from stillhouse.gateway.house import House
from tests.gateway.serving import SYSTEM, Keywords, served

ASKED = [Message("system", SYSTEM), Message("user", "Request: refund now")]


def test_the_answer_comes_with_its_route():
    with served(create_app(House.of([Keywords()]))) as url:
        answer = call_once(f"{url}/v1", "desk/triage", ASKED)
        assert answer.text == '{"intent": "refund", "priority": "high"}'
        assert answer.route.startswith("student")
        with pytest.raises(StillhouseError, match="did not answer as expected: HTTP Error 404"):
            call_once(f"{url}/v1", "nobody", ASKED)


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(StillhouseError, match=r"The server at http://127\.0\.0\.1:9/v1 did not answer"):
        call_once("http://127.0.0.1:9/v1", "x", ASKED, seconds=2)
