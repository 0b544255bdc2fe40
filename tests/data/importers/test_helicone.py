from __future__ import annotations

import csv
import json

from stillhouse.data.importers.helicone import read_helicone
from tests.data.importers.reading import ANSWER, USER, lines, read

ROW = {
    "response_id": "r1",
    "response_created_at": "2025-06-15T15:06:41Z",
    "response_status": 200,
    "request_id": "q1",
    "request_created_at": "2025-06-15T15:06:40Z",
    "request_body": {"model": "large-1", "messages": [USER]},
    "response_body": {"choices": [{"message": ANSWER, "finish_reason": "stop"}]},
    "request_user_id": "ada",
    "request_properties": {"Helicone-Session-Id": "s1", "team": "desk"},
    "request_model": "large-1",
    "provider": "OPENAI",
}


def check(item):
    assert (item.messages, item.answer) == ((USER,), ANSWER)
    facts = item.facts
    assert (facts.model, facts.created, facts.subject, facts.conversation) == ("large-1", 1_750_000_000, "ada", "s1")
    assert facts.metadata["team"] == "desk"


def test_json_lines_and_an_array_with_a_comma_too_many(tmp_path):
    check(read(read_helicone, lines(tmp_path / "a", ROW))[0][0])
    path = tmp_path / "b.json"
    path.write_text("[\n" + json.dumps(ROW, indent=2) + ",\n]\n")
    check(read(read_helicone, path)[0][0])


def test_tables_with_quotes_doubled_once_or_twice(tmp_path):
    for again in ("", '"'):
        path = tmp_path / "a.csv"
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(ROW)
            cells = [json.dumps(v).replace('"', '"' + again) if isinstance(v, dict) else v for v in ROW.values()]
            table.writerow(cells)
        check(read(read_helicone, path)[0][0])


def test_failed_calls_are_counted_and_those_without_bodies_bad(tmp_path):
    rows = [{**ROW, "response_status": 429}, {**ROW, "request_body": None}]
    items, bad = read(read_helicone, lines(tmp_path / "a", *rows))
    assert (items, dict(bad.passed)) == ([], {"call that failed": 1})
    assert "--include-body" in bad.listed()
