"""A record survives JSON and says what is wrong with a torn one."""

from __future__ import annotations

import json
import math

import pytest

from stillhouse.errors import BundleError
from stillhouse.reports.record import RunRecord


@pytest.mark.parametrize("kind", ["record", "hostile"])
def test_it_comes_back_from_json_as_it_was(kind: str, request: pytest.FixtureRequest):
    record = request.getfixturevalue(kind)
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record


def test_unknown_numbers_are_null_in_json_and_nan_again(empty: RunRecord):
    written = json.dumps(empty.to_json(), allow_nan=False)
    back = RunRecord.from_json(json.loads(written))
    assert math.isnan(back.rungs[0].quality.agreement)
    assert math.isnan(back.costs.student.usd)
    assert back.to_json() == empty.to_json()


def test_the_chosen_rung_is_found_by_name(record: RunRecord, empty: RunRecord):
    assert record.chosen_rung is not None
    assert record.chosen_rung.name == "encoder-3"
    assert empty.chosen_rung is None


@pytest.mark.parametrize("torn", [{}, {"manifest": None}, {"colour": 1}])
def test_a_torn_record_is_one_clear_error(torn: dict[str, object]):
    with pytest.raises(BundleError, match="record of the run is damaged"):
        RunRecord.from_json(torn)
