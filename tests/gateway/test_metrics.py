"""What is counted, and how it is told."""

from __future__ import annotations

import pytest

from stillhouse.chat import Route
from stillhouse.gateway.metrics import Metrics, Price, Tally


def test_requests_are_counted_by_who_answered_and_why():
    metrics = Metrics()
    metrics.count(Tally("m", Route("student", confidence=0.4, flag="below-threshold")), 200, 0.01)
    metrics.count(Tally("m", Route("teacher", reason="low-confidence", confidence=0.4)), 200, 0.2)
    metrics.count(Tally(), 404, 0.001)
    metrics.count_batch("m", 7)
    text = metrics.text().decode()
    assert 'stillhouse_requests_total{model="m",route="student",status="200",why="below-threshold"} 1.0' in text
    assert 'stillhouse_requests_total{model="m",route="teacher",status="200",why="low-confidence"} 1.0' in text
    assert 'stillhouse_requests_total{model="",route="none",status="404",why=""} 1.0' in text
    assert 'stillhouse_student_confidence_count{model="m"} 2.0' in text
    assert 'stillhouse_batch_size_sum{model="m"} 7.0' in text
    assert 'stillhouse_request_seconds_count{model="m",route="teacher"} 1.0' in text


def test_two_gateways_count_apart():
    one, other = Metrics(), Metrics()
    one.count(Tally("m"), 200, 0.1)
    assert b'model="m"' not in other.text()


def test_tokens_are_counted_and_priced_where_a_price_is_known():
    metrics = Metrics()
    priced = Tally("m", Route("teacher"), Price(2.0, 10.0))
    priced.count({"prompt_tokens": 1000, "completion_tokens": 100})
    metrics.count(priced, 200, 0.1)
    free = Tally("n", Route("student"), read=5, written=2)
    metrics.count(free, 200, 0.1)
    assert (priced.cost, free.cost) == (0.003, None)
    text = metrics.text().decode()
    assert 'stillhouse_cost_total{model="m"} 0.003' in text
    assert 'stillhouse_tokens_total{kind="read",model="n",route="student"} 5.0' in text
    assert 'cost_total{model="n"}' not in text


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": None}, {"prompt_tokens": "7", "completion_tokens": -3}]
)
def test_a_usage_that_says_nothing_costs_nothing(usage):
    tally = Tally("m", Route("teacher"), Price(1, 1))
    tally.count(usage)
    assert tally.cost is None
