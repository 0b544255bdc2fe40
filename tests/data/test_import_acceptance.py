"""Ten thousand calls with duplicates, secrets, two languages, broken rows and five subjects, imported."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.catalog import sniff
from stillhouse.data.importers.options import Options
from stillhouse.data.items import hash_items
from stillhouse.errors import TrafficError
from tests.data.made_calls import SUBJECTS, make_calls

BYTES = "8261a3f3e9c0e24c05f2d332492d61878bd112884217fcb9ed82bf1f24cdc3af"
"""SHA-256 of the file, on every machine."""
ITEMS = "f5fea16808488d9e63e4eb4378b798ba28c83082ea0ef59f57d95de7a930c9ab"
"""What `hash_items` gives of its sound rows, on every machine."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_calls(tmp_path_factory.mktemp("made") / "made.jsonl")


def test_the_file_is_the_same_everywhere_and_so_are_its_items(made, tmp_path):
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == BYTES
    aside = tmp_path / "aside.jsonl"
    bad = BadRows(skip=True, aside=aside)
    items = list(sniff(made.path).read(made.path, Options(), bad))
    assert hash_items(items) == ITEMS
    kept = [json.loads(line) for line in aside.read_text().splitlines()]
    assert [row["line"] for row in kept] == made.broken
    assert len(items) + bad.count == made.rows == 10_000
    assert len(bad.reasons) == 8


def test_what_was_planted_is_in_the_items(made):
    items = {item.source.row: item for item in sniff(made.path).read(made.path, Options(), BadRows(skip=True))}
    assert Counter(item.facts.subject for item in items.values() if item.facts.subject) == made.subjects
    assert set(made.subjects) == set(SUBJECTS)
    assert all(secret in items[row].text for row, (_, secret) in made.secrets.items())
    said = Counter(item.content_hash for item in items.values())
    assert all(said[items[row].content_hash] > 1 for row in made.exact)
    assert len(made.exact) > 400
    assert len(made.near) > 300
    assert len(made.languages) == 2


def test_broken_rows_stop_the_import_unless_they_are_skipped(made):
    with pytest.raises(TrafficError, match=f"{len(made.broken)} rows cannot be used"):
        list(sniff(made.path).read(made.path, Options(), BadRows()))
