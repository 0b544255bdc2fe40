"""A small language model, trained here and served by `stillhouse serve`, is the teacher of every step."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.cli.main import run
from stillhouse.data.items import Item
from stillhouse.teachers.api import Endpoint, Heard
from tests.cli.generating import called, contents, text, with_dataset
from tests.generation.by_heart import learnt
from tests.recipes.tiny_recipes import flags, prepare

ROOT = Path(__file__).resolve().parents[2]
ASKS = "{text}\nbilling or shipping?"
THINKS = "{text} Think."
SUMS = {"3 boxes of 2": "6", "4 boxes of 2": "8", "5 boxes of 2": "10"}
LABELS = {"my money": "billing", "a parcel": "shipping", "the invoice": "billing"}


def reasons(question: str) -> str:
    return f"Each of the {question[0]} boxes has two in it, so it is {question[0]} times two."


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """The folder of a model that labels three texts and thinks about three sums."""
    told = {ASKS.replace("{text}", words): label for words, label in LABELS.items()}
    thoughts = {THINKS.replace("{text}", sum_): f"{reasons(sum_)}\nAnswer: {right}" for sum_, right in SUMS.items()}
    return learnt(tmp_path_factory.mktemp("teacher") / "small", told | thoughts)


@pytest.fixture(scope="module")
def url(teacher, tmp_path_factory) -> Iterator[str]:
    """Where a real server answers with that model."""
    home = tmp_path_factory.mktemp("server")
    (home / "stillhouse.toml").write_text(f'[models]\nsmall = "{teacher}"\n')
    command = [sys.executable, "-m", "stillhouse", "serve", "--home", str(home), "--port", "0", "--no-worker", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield json.loads(line)["base_url"]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def home(tmp_path) -> Path:
    with_dataset(tmp_path, "desk", [text(words) for words in LABELS])
    with_dataset(tmp_path, "sums", [text(words, truth=right) for words, right in SUMS.items()])
    (tmp_path / "label.txt").write_text(ASKS)
    (tmp_path / "think.toml").write_text(f"user = '{THINKS}'\nrequest.temperature = 0\n")
    schema = '[schema]\ntype = "object"\nrequired = ["label"]\nadditionalProperties = false\n'
    enum = 'properties.label = { enum = ["billing", "shipping"] }\n'
    (tmp_path / "json.toml").write_text(f'user = """{ASKS}"""\nrequest.temperature = 0\n{schema}{enum}')
    return tmp_path


def labelled(items: list[Item]) -> dict[str, str | None]:
    return {item.text: item.label for item in items}


def test_a_served_model_labels(capsys, home, url):
    asked = ["label", "desk", "--teacher", url, "--model", "small", "--labels", "billing,shipping"]
    asked += ["--template", str(home / "label.txt"), "--logprobs", "--max-tokens", "8", "--out", "labelled"]
    code, told, _ = called(capsys, home, *asked, "--dry-run")
    assert (code, told["calls"]) == (0, 3)
    code, told, errors = called(capsys, home, *asked)
    assert (code, told["reference"]) == (0, "labelled@1"), errors
    items = contents(home, "labelled@1")[1]
    assert labelled(items) == LABELS
    assert all(item.soft[LABELS[item.text]] > 0.5 for item in items)
    assert all(item.facts.grade == item.soft[LABELS[item.text]] for item in items)


def test_its_json_fits_the_schema(capsys, home, url):
    asked = ["label", "desk", "--teacher", url, "--model", "small", "--labels", "billing,shipping"]
    code, _, _ = called(capsys, home, *asked, "--template", str(home / "json.toml"), "--max-tokens", "60", "--out", "j")
    assert code == 0
    _, items, dropped = contents(home, "j@1")
    assert [json.loads(item.words)["label"] for item in items] == [item.label for item in items]
    assert len(items) >= 1
    assert len(items) + len(dropped) == 3
    assert all(reason.startswith("cut off") for _, reason in dropped)


async def test_the_server_answers_a_call_that_it_knows_by_its_key_once(url):
    body = json.dumps(
        {"model": "small", "messages": [{"role": "user", "content": "anything"}], "max_tokens": 8}
    ).encode()
    async with Endpoint(url) as api:
        first, again = await api.ask_once(body, "one", 60), await api.ask_once(body, "one", 60)
        other = await api.ask_once(body, "two", 60)
    assert isinstance(first, Heard)
    assert isinstance(again, Heard)
    assert isinstance(other, Heard)
    assert (first.replayed, again.replayed, other.replayed) == (False, True, False)
    assert again.content == first.content


def test_a_model_in_a_folder_labels_without_a_server(capsys, home, teacher):
    asked = ["label", "desk", "--teacher", str(teacher), "--labels", "billing,shipping", "--max-tokens", "8"]
    code, told, _ = called(capsys, home, *asked, "--template", str(home / "label.txt"), "--out", "local")
    assert (code, told["asking"]["asked"]) == (0, 3)
    items = contents(home, "local@1")[1]
    assert labelled(items) == LABELS
    assert {item.source.teacher for item in items} == {"small"}


def test_a_served_model_explains_and_a_student_learns_its_reasons(capsys, home, url, tmp_path):
    rows = tmp_path / "rows.jsonl"
    asked = ["rationales", "sums", "--teacher", url, "--model", "small", "--template", str(home / "think.toml")]
    asked += ["--max-tokens", "64", "--out", "reasons", "--rows", str(rows)]
    assert called(capsys, home, *asked, "--dry-run")[1]["calls"] == 3
    code, told, errors = called(capsys, home, *asked)
    assert (code, told["items"]) == (0, 3), errors
    items = contents(home, "reasons@1")[1]
    assert {item.text: item.rationale for item in items} == {each: reasons(each) for each in SUMS}
    assert [json.loads(line) for line in rows.read_text().splitlines()] == [
        {"prompt": each, "completion": right, "rationale": reasons(each)} for each, right in SUMS.items()
    ]
    (tmp_path / "train").mkdir()
    path, changes = prepare("rationale", tmp_path / "train")
    line = ["train", str(path), *flags([*changes, f"data.train={rows}"]), "--home", str(tmp_path / "made"), "--json"]
    assert run(line) == 0
    assert json.loads(capsys.readouterr().out)["training"]["steps"] >= 1


def test_help_names_the_verbs(capsys):
    assert run(["generate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "label" in shown
    assert "rationales" in shown
