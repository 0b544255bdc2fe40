"""The catalogue lists every objective there is, with where it comes from."""

from __future__ import annotations

import pytest

from stillhouse.objectives import response
from stillhouse.objectives.catalog import CATALOG


def test_every_objective_is_listed():
    assert {made.__name__ for made, _ in CATALOG.values()} == set(response.__all__)


def test_every_objective_has_a_source_and_can_be_made():
    for made, source in CATALOG.values():
        assert source
        assert made().needs


def test_the_list_is_closed():
    with pytest.raises(TypeError):
        CATALOG["mine"] = None
