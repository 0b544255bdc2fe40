"""For those who watch over the server."""

from __future__ import annotations

import json
import urllib.request


def test_it_says_that_it_is_up(alone):
    with urllib.request.urlopen(f"{alone}/healthz") as response:
        assert json.loads(response.read()) == {"status": "ok", "models": ["desk/triage", "plain"]}


def test_prometheus_can_read_the_counters(alone):
    with urllib.request.urlopen(f"{alone}/metrics") as response:
        assert response.headers["content-type"].startswith("text/plain; version=")
        assert b"# TYPE stillhouse_requests_total counter" in response.read()
