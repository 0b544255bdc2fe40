"""The card has the front matter hubs read, and foreign texts cannot break it."""

from __future__ import annotations

import re

import pytest

from stillhouse.reports.model_card import render
from stillhouse.reports.record import RunRecord


def front_matter(card: str) -> dict[str, object]:
    yaml = pytest.importorskip("yaml")
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def test_it_says_what_a_stranger_asks(record: RunRecord):
    card = render(record)
    assert "# support-desk" in card
    assert "recorded calls to gpt-4.1" in card
    assert "| Agreement with the teacher | 92.4 % (91.4 % to 93.3 % at 95 % confidence) | 3,080 sealed calls |" in card
    assert "guaranteed at 95 % confidence" in card
    assert "stillhouse serve --model support-desk" in card
    assert record.run.command in card
    assert "`urgent`" in card
    assert "## Limits" in card


def test_the_front_matter_is_yaml(record: RunRecord, empty: RunRecord):
    facts = front_matter(render(record))
    assert facts["pipeline_tag"] == "text-classification"
    assert facts["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(0.9237)  # type: ignore[index]
    front_matter(render(empty))


def test_hostile_texts_stay_texts(hostile: RunRecord):
    card = render(hostile)
    assert front_matter(card)["model-index"][0]["name"].startswith("<script>")  # type: ignore[index]
    body = card.split("---\n", 2)[2]
    prose = re.sub(r"^(```+)sh\n.*?^\1$", "", body, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"(`+).*?\1", "", prose)
    assert not re.search(r"(?<!\\)<script", prose)
    rows = [line for line in body.split("\n") if line.startswith(("| Teacher", "| Traffic"))]
    assert all(row.replace("\\|", "").count("|") == 3 for row in rows)
    assert "\n\n\n" not in card
