"""Templates show numbers through filters and refuse what was not given."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from stillhouse.reports.pages import open_template


def test_a_page_refuses_to_be_drawn_without_its_record():
    page = open_template("model_card.md.jinja", autoescape=False, filters=dict.fromkeys(CARD, str))
    with pytest.raises(UndefinedError, match="record"):
        page.render()


CARD = ("code", "fenced", "number", "quoted", "words")
