"""The data sheet: counts without a word of anybody, what was done, and the terms; foreign texts cannot break out."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.data.terms import Book, Terms, Use
from stillhouse.data.versions import Step, Version
from stillhouse.reports.data_sheet import Sheet, render, tally


def version(number: int, step: Step) -> Version:
    return Version("mail", number, "ab" * 32, 3, 1, 10, 0, step, Path("items.parquet"))


@pytest.fixture
def sheet() -> Sheet:
    asked = ({"role": "user", "content": "a secret that only Ann knows"},)
    items = [
        Item(
            Kind.TEXT, asked, label="billing", facts=Facts(subject="ann", created=86_400, language="en", split="train")
        ),
        Item(Kind.TEXT, asked, label="a|b\n# c", facts=Facts(subject="ann", created=0), source=Source(teacher="big")),
        Item(Kind.TEXT, asked, facts=Facts(model="mini")),
    ]
    raw = version(1, Step("import", ("calls.jsonl",), {}, {"kept": 4}))
    redacted = version(2, Step("redact", ("mail@1",), {"what": "cards"}, {"kept": 3, "cards": 7}))
    book = Book({"big": Terms("big", (Use.EVALUATE,), "Made with Big", source="https://example.com", licence="Big 1")})
    return Sheet(redacted, tally(items), [redacted, raw], book, "routing *mail*")


def test_it_counts_and_quotes_nobody(sheet):
    page = render(sheet)
    assert "secret" not in page
    assert "ann" not in page.replace("planned", "")
    assert "1 named by the calling program" in page
    assert "1970-01-01 to 1970-01-02" in page
    assert sheet.to_json()["people"] == 1
    assert sheet.to_json()["missing"] == {"answer": 3, "label": 1, "person": 1, "time": 1}


def test_lineage_redactions_and_terms_are_listed(sheet):
    page = render(sheet)
    assert page.index("| mail@1 | import") < page.index("| mail@2 | redact")
    assert "mail@2: kept 3; cards 7" in page
    assert "| big | 1 | evaluate | " in page
    assert "| mini | 1 | not known |" in page
    assert "Made with Big" in page


def test_foreign_texts_stay_on_their_line(sheet):
    page = render(sheet)
    assert "\n# c" not in page
    assert "routing \\*mail\\*" in page
    for line in page.splitlines():
        if line.startswith("| mail@"):
            assert line.count(" | ") == 5
