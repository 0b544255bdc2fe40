"""Models as clients see them."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.models import ModelCard, read_models, write_model, write_models


def test_models_are_written_alone_and_listed():
    card = ModelCard("desk/triage", 7)
    alone = {"id": "desk/triage", "object": "model", "created": 7, "owned_by": "stillhouse"}
    assert json.loads(write_model(card)) == alone
    assert json.loads(write_models([card])) == {"object": "list", "data": [alone]}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"data": [{"id": "a/b"}, {"id": 7}, {"name": "x"}, "y", {"id": "c"}]}', ["a/b", "c"]),
        (b'{"data": null}', []),
        (b'{"data": {"id": "a"}}', []),
        (b"[]", []),
        (b"<html>", []),
    ],
)
def test_another_server_s_list_is_read_as_far_as_it_is_one(content, names):
    assert read_models(content) == names
