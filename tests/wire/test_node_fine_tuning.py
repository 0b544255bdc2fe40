"""The unmodified Node client goes through fine-tuning, from an uploaded file to an answer of the model."""

from __future__ import annotations

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.crew import Crew
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import served
from tests.jobs.writers import save_base
from tests.wire.node_client import seen_by_node


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict:
    """What the client saw of a gateway with a worker and the base model `small`."""
    home = tmp_path_factory.mktemp("home")
    save_base(home / "models" / "small")
    house, crew = House(), Crew(None, home)
    house.enter(crew)
    with served(create_app(house, Shelf(None, home), wake=crew.wake)) as url:
        return seen_by_node("fine_tuning.mjs", f"{url}/v1", seconds=240)


def test_show(seen):
    import json
    print(json.dumps(seen, indent=1))
    assert 0
