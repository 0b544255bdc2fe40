"""Models listed and found, also by names with slashes."""

from __future__ import annotations

import json
import urllib.request

import pytest


@pytest.mark.parametrize("path", ["desk/triage", "desk%2Ftriage"])
def test_a_name_with_a_slash_is_found_however_it_is_written(alone, path):
    with urllib.request.urlopen(f"{alone}/v1/models/{path}") as response:
        model = json.loads(response.read())
    assert (model["id"], model["object"], model["owned_by"]) == ("desk/triage", "model", "stillhouse")


def test_all_models_are_listed(alone, client):
    assert [model.id for model in client(alone).models.list()] == ["desk/triage", "plain"]
