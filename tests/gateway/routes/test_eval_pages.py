"""The page of a run: read by whoever has its address, by nobody else, and harmless whatever stands in it."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from html import unescape

import pytest
from openai import OpenAI

from tests.gateway.serving import status_of
from tests.jobs.evaluating import hands, until_done, world

ITEM = {"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}}
EVIL = "<script>alert('x')</script>{{7*7}}\u202e"
CRITERIA = [
    {
        "type": "string_check",
        "name": f"same {EVIL}",
        "input": "{{sample.output_text}}",
        "reference": "{{item.a}}",
        "operation": "eq",
    },
    {
        "type": "score_model",
        "name": "long",
        "model": "judge",
        "range": [0, 9],
        "input": [{"role": "user", "content": "{{sample.output_text}}"}],
    },
]
PROMPT = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}


@pytest.fixture(scope="module")
def run(database, tmp_path_factory):
    """A finished run with an item of each kind, and text that means harm."""
    rows = [{"q": "one two three four five", "a": "ONE TWO THREE FOUR FIVE"}, {"q": EVIL, "a": "x"}, {"q": "fail"}]
    home = tmp_path_factory.mktemp("home")
    with world(home, database) as where, hands(where), OpenAI(base_url=where.base_url, api_key="k") as client:
        config = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
        made = client.evals.create(name=EVIL, data_source_config=config, testing_criteria=CRITERIA)
        content = {"type": "file_content", "content": [{"item": row} for row in rows]}
        source = {"type": "completions", "source": content, "model": "shouts", "input_messages": PROMPT}
        begun = client.evals.runs.create(made.id, name=EVIL, data_source=source)
        yield until_done(client, made.id, begun.id)


def read(url: str) -> tuple[str, dict]:
    with urllib.request.urlopen(url) as response:
        return response.read().decode(), dict(response.headers)


def test_it_tells_what_passed_and_what_did_not(run):
    page, headers = read(run.report_url)
    words = re.sub(r"\s+", " ", unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))
    assert "1 of 3 items passed" in words
    assert "50 %" in words or "50.0 %" in words
    assert "Row 1 ✕ failed" in words
    assert "Row 2 ? errored" in words
    assert "no such thing" in words
    assert "so it is" in words
    assert "shouts-2026-01-01" in words
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_foreign_text_is_words_and_nothing_else(run):
    page, _ = read(run.report_url)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page
    assert "\u202e" not in page
    assert "http-equiv" not in page  # a run at its end is not loaded anew


@pytest.mark.parametrize(
    "change", [("key=", "key=x"), ("key=", "k="), ("/evalrun_", "/evalrun_0"), ("/eval_", "/eval_0")]
)
def test_without_its_key_there_is_no_page(run, change):
    assert status_of(run.report_url) == 200
    assert status_of(run.report_url.replace(*change)) == 404


def test_the_key_opens_no_other_door(tmp_path):
    with world(tmp_path, locked=True) as where:
        for path in ("/v1/evals", "/v1/evals/eval_1/runs/evalrun_1"):
            assert status_of(f"{where.url}{path}?key=anything") == 401
