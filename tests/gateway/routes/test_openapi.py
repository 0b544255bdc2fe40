"""The document as it is served."""

from __future__ import annotations

import json
import urllib.request

import schemathesis

from stillhouse import __version__


def test_it_is_served_to_everybody_and_other_programs_can_read_it(alone):
    with urllib.request.urlopen(f"{alone}/openapi.json") as response:
        assert response.headers["content-type"] == "application/json"
        told = json.loads(response.read())
    assert told["openapi"] == "3.1.0"
    assert told["info"]["version"] == __version__
    read = [found.ok().label for found in schemathesis.openapi.from_dict(told).get_all_operations()]
    assert "POST /v1/chat/completions" in read
