"""`stillhouse generate label`: a dataset in, a labelled version out; first what it would cost, and never more."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stillhouse.cli.main import run
from tests.cli.generating import called, contents, text, with_dataset
from tests.gateway.serving import served
from tests.generation.chaos import Chaos
from tests.generation.scripted import Scripted, last_words

ROOT = Path(__file__).resolve().parents[2]
PRICES = ("--price-in", "2.5", "--price-out", "10")


def by_words(call: dict, before: int) -> object:
    asked = last_words(call)
    if "rude" in asked:
        return 400, "This is against our policy."
    return "billing" if "money" in asked else "shipping"


@pytest.fixture
def scripted() -> Scripted:
    return Scripted(by_words)


@pytest.fixture
def url(scripted):
    with served(scripted.app()) as url:
        yield url


@pytest.fixture
def home(tmp_path):
    with_dataset(tmp_path, "desk", [text(f"my money {number}") for number in range(6)] + [text("rude")])
    return tmp_path


def test_a_dataset_is_labelled_after_a_dry_run(capsys, home, url, scripted):
    asked = ("label", "desk", "--teacher", url, "--model", "m", "--labels", "billing, shipping", *PRICES)
    code, told, _ = called(capsys, home, *asked, "--dry-run")
    assert (code, told["calls"], told["cached"], told["items"], scripted.asked) == (0, 7, 0, 7, [])
    assert 0 < told["cost"] < told["most_cost"]
    code, told, _ = called(capsys, home, *asked, "--out", "labelled", "--budget", "1")
    assert (code, told["reference"], told["items"], told["dropped"]) == (0, "labelled@1", 6, 1)
    assert told["asking"]["asked"] == 6
    assert told["asking"]["spent"] == pytest.approx(6 * (11 * 2.5 + 3 * 10) / 1e6)
    version, items, dropped = contents(home, "labelled@1")
    assert {item.label for item in items} == {"billing"}
    assert (version.step.verb, version.step.parents) == ("label", ("desk@1",))
    assert version.step.settings["labels"] == ["billing", "shipping"]
    assert version.step.settings["template"]["user"].startswith("Answer with exactly one")
    assert version.step.counts == {"kept": 6, "refused by the teacher": 1}
    assert next(reason for _, reason in dropped).endswith("It says: This is against our policy.")
    before = len(scripted.asked)
    again = called(capsys, home, *asked, "--out", "labelled")[1]
    assert (again["reference"], len(scripted.asked)) == ("labelled@1", before)


def test_a_budget_stops_it_and_more_of_it_goes_on(capsys, home, url, scripted):
    asked = ("label", "desk@1", "--teacher", url, "--model", "m", "--labels", "billing,shipping", *PRICES)
    few = ("--max-tokens", "5", "--at-once", "1")
    code, told, _ = called(capsys, home, *asked, *few, "--budget", "0.0006")
    assert code == 1
    assert "larger --budget goes on" in told["error"]["message"]
    code, told, _ = called(capsys, home, *asked, *few, "--budget", "0.0006", "--partial")
    assert told["asking"]["stopped"]
    assert told["asking"]["spent"] + told["asking"]["perhaps_spent_besides"] <= 0.0006
    assert 0 < told["items"] < 6
    assert "not answered" in told["step"]["counts"]
    answered = told["items"]
    code, told, _ = called(capsys, home, *asked, *few, "--budget", "1")
    assert (told["items"], told["asking"]["cached"]) == (6, answered)


def test_a_teacher_of_stillhouse_toml_is_asked_by_its_name(capsys, home, url, scripted, monkeypatch):
    monkeypatch.setenv("DESK_KEY", "the-secret-of-the-desk")
    add = ["teacher", "add", "desk", "--base-url", f"{url}/v1", "--key-env", "DESK_KEY", "--model", "large=real"]
    assert run([*add, "--price-in", "1", "--price-out", "1", "--home", str(home)]) == 0
    capsys.readouterr()
    code, told, _ = called(
        capsys, home, "label", "desk@1", "--teacher", "desk", "--labels", "billing,shipping", "--samples", "2"
    )
    assert (code, told["items"]) == (0, 6)
    assert {call["model"] for call in scripted.asked} == {"real"}
    item = contents(home, "desk@2")[1][0]
    assert (item.source.teacher, item.facts.grade) == ("desk", 1.0)
    assert told["asking"]["spent"] == pytest.approx(12 * 14 / 1e6)
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not any(b"the-secret-of-the-desk" in content for content in files)


@pytest.mark.parametrize("verb", [("label", "--labels", "a,b"), ("answers",)])
def test_terms_are_those_of_the_database_that_is_named(capsys, tmp_path, url, scripted, verb):
    where = ["--database", f"sqlite:///{tmp_path}/other.db"]
    (tmp_path / "rows.jsonl").write_text('{"text": "my money"}\n')
    place = ["--home", str(tmp_path), *where]
    assert run(["data", "import", str(tmp_path / "rows.jsonl"), "--name", "desk", *place]) == 0
    assert run(["terms", "add", "m", "--allow", "evaluate", *place]) == 0
    capsys.readouterr()
    name, *more = verb
    code, told, _ = called(capsys, tmp_path, name, "desk", *more, "--teacher", url, "--model", "m", *where)
    assert (code, scripted.asked) == (1, [])
    assert "m is asked: its terms allow evaluate, not train" in told["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--teacher", "nobody"), "neither a teacher of"),
        (("--teacher", "URL"), "needs --model"),
        (("--teacher", "URL", "--model", "m", "--budget", "1"), "Give --price-in and --price-out"),
        (("--teacher", "URL", "--model", "m", "--template", "missing.toml"), "cannot be read"),
        (("--teacher", "URL", "--model", "m", "--template", "BROKEN"), r"line 1, column 7: '\{' belongs to no blank"),
        (("--teacher", "URL", "--model", "m", "--template", "TYPO"), r"Did you mean \{text\}"),
        (("--teacher", "URL", "--model", "m", "--tokenizer", "missing.json"), "is no tokenizer"),
    ],
)
def test_wrong_use_is_said_before_anything_is_asked(capsys, home, url, scripted, tmp_path, arguments, said):
    (tmp_path / "broken.txt").write_text("Label {text")
    (tmp_path / "typo.txt").write_text("Label {txet}")
    names = {"URL": url, "BROKEN": str(tmp_path / "broken.txt"), "TYPO": str(tmp_path / "typo.txt")}
    chosen = [names.get(each, each) for each in arguments]
    code, told, _ = called(capsys, home, "label", "desk", "--labels", "billing,shipping", *chosen)
    assert code == 2
    assert re.search(said, told["error"]["message"])
    assert scripted.asked == []


def test_people_are_told_what_it_would_cost(capsys, home, url):
    line = ["generate", "label", "desk", "--teacher", url, "--model", "m", "--labels", "a,b", "--home", str(home)]
    assert run([*line, "--dry-run"]) == 0
    assert "m would be asked 7 times; 0 answers are there." in capsys.readouterr().err
    assert run([*line, "--dry-run", *PRICES]) == 0
    assert "Cost: about 0.0" in capsys.readouterr().err


def test_killed_it_goes_on_and_makes_what_it_would_have_made(tmp_path):
    chaos = Chaos(pause=0.05)
    items = [text(f"parcel {number}") for number in range(40)]
    versions = []
    with served(chaos.app()) as url:
        for name in ("killed", "quiet"):
            home = tmp_path / name
            with_dataset(home, "desk", items)
            line = [sys.executable, "-m", "stillhouse", "generate", "label", "desk@1", "--teacher", url, "--model", "m"]
            line += ["--template", str(tmp_path / "ask.txt"), "--home", str(home), "--at-once", "2", "--json"]
            (tmp_path / "ask.txt").write_text("{text}")
            if name == "killed":
                process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                while chaos.billed < 15 and process.poll() is None:
                    time.sleep(0.01)
                process.kill()
                errors = process.communicate()[1]
                assert process.returncode == -signal.SIGKILL, errors.decode()
            done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
            versions.append(json.loads(done.stdout))
    assert (versions[0]["items"], versions[0]["hash"]) == (40, versions[1]["hash"])
    assert 10 <= versions[0]["asking"]["cached"] < 40
    assert (len(chaos.bills), set(chaos.bills.values())) == (40, {1})
