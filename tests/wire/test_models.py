"""Models as clients see them."""

from __future__ import annotations

import json

from stillhouse.wire.models import ModelCard, write_model, write_models


def test_models_are_written_alone_and_listed():
    card = ModelCard("desk/triage", 7)
    alone = {"id": "desk/triage", "object": "model", "created": 7, "owned_by": "stillhouse"}
    assert json.loads(write_model(card)) == alone
    assert json.loads(write_models([card])) == {"object": "list", "data": [alone]}
