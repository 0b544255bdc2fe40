"""The script of the page takes out what a server keeps, and the commands beside it take it over."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from openai import OpenAI

from stillhouse.cli.main import run
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, prompt, served
from tests.storage.databases import database_option
from tests.structure.source import ROOT

PAGE = (ROOT / "docs" / "migrate-from-openai.md").read_text(encoding="utf-8")
[SCRIPT] = re.findall(r"^```python\n(# take_out\.py.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CRITERION = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "operation": "eq",
    "reference": "{{item.answer}}",
}
CONFIG = {
    "type": "custom",
    "item_schema": {"type": "object", "properties": {"answer": {"type": "string"}}},
    "include_sample_schema": True,
}


@pytest.fixture
def hosted(tmp_path):
    """A server in the place of the hosted suite, with three stored completions and an eval."""
    with served(create_app(House.of([Keywords()]), Shelf(None, tmp_path / "hosted"))) as url:
        with OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
            for use in ("a", "a", "b"):
                sdk.chat.completions.create(
                    model="desk/triage", messages=prompt("refund"), store=True, metadata={"use": use}
                )
            sdk.evals.create(name="answers", data_source_config=CONFIG, testing_criteria=[CRITERION])
        yield f"{url}/v1"


def take_out(url: str, *arguments: str) -> None:
    environment = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def told(completion) -> dict:
    """What a completion says; what it says nothing of does not count."""
    return completion.model_dump(exclude_none=True)


def test_what_is_taken_out_is_taken_over(hosted, own_database, tmp_path, capsys):
    taken, home = tmp_path / "taken", tmp_path / "home"
    place = ["--home", str(home), *database_option(own_database)]
    take_out(hosted, str(taken))
    for kind, file, count in (("openai-stored", "completions", 3), ("openai-evals", "evals", 1)):
        assert run(["import", kind, str(taken / f"{file}.jsonl"), *place, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"imported": count, "known": 0, "bad_rows": 0}
    with OpenAI(base_url=hosted, api_key="k") as old:
        before = list(old.chat.completions.list())
        [old_eval] = old.evals.list()
    app = create_app(House.of([Keywords()]), Shelf(own_database, home))
    with served(app) as url, OpenAI(base_url=f"{url}/v1", api_key="k") as new:
        after = list(new.chat.completions.list())
        [new_eval] = new.evals.list()
        asked = list(new.chat.completions.messages.list(after[0].id))
    assert [told(each) for each in after] == [told(each) for each in before]
    assert [(each.role, each.content) for each in asked] == [(m["role"], m["content"]) for m in prompt("refund")]
    assert new_eval.model_dump() == old_eval.model_dump()


def test_only_what_is_named_is_taken_out(hosted, tmp_path):
    take_out(hosted, str(tmp_path / "taken"), "use=a")
    lines = (tmp_path / "taken" / "completions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["metadata"] for line in lines] == [{"use": "a"}] * 2


def test_the_versions_that_it_names_are_those_that_are_tested():
    from tests.wire.test_sdks import OLD

    node = json.loads((ROOT / "tests" / "wire" / "node" / "package.json").read_text())["dependencies"]["openai"]
    [newest] = re.findall(r"^openai==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    for version in (*OLD, newest, node):
        assert ".".join(version.split(".")[:2]) in PAGE
