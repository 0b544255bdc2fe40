"""What is counted, and how it is told."""

from __future__ import annotations

from stillhouse.chat import Route
from stillhouse.gateway.metrics import Metrics, Tally


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
