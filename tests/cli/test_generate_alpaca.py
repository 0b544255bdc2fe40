"""From a list of seeds to a chat student: a small model trained here makes prompts, answers and judges, over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.cli.main import run
from tests.cli.generating import called, contents, with_dataset
from tests.cli.methods import chat
from tests.generation.by_heart import learnt

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ["Name a river in France", "Say hello to Anna"]
MADE = ["Count the red boxes", "Where does Ulm lie", "Name a river in France", "Tell me a joke"]
SAID = {"Count the red boxes": "Two boxes.", "Where does Ulm lie": "On a river.", "Tell me a joke": "No."}
HARDER = "Count the red boxes in the next room twice"
GRADES = {"Two boxes.": 9, "On a river.": 8, "No.": 2}


def as_json(**said) -> str:
    return json.dumps(said, separators=(",", ":"))


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """Where a real server answers with a model that has learnt all this by heart."""
    told = {"Write prompts.": as_json(prompts=MADE), f"Harder: {MADE[0]}": as_json(prompt=HARDER), **SAID}
    told |= {f"Grade: {words}": as_json(reason="so", score=grade) for words, grade in GRADES.items()}
    folder = learnt(tmp_path_factory.mktemp("teacher") / "small", told, steps=400)
    home = tmp_path_factory.mktemp("server")
    (home / "stillhouse.toml").write_text(f'[models]\nsmall = "{folder}"\n')
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


@pytest.mark.slow
def test_a_seed_list_becomes_a_chat_student(capsys, tmp_path, url):
    from tests.recipes.tiny_recipes import flags, prepare

    home = tmp_path / "home"
    home.mkdir()
    for name, words in (("prompts", "Write prompts."), ("grade", "Grade: {answer}")):
        (home / f"{name}.txt").write_text(words)
    with_dataset(home, "seeds", [chat(words) for words in SEEDS])
    who = ("--teacher", url, "--model", "small", "--temperature", "0", "--max-tokens", "150")
    steps = [
        ("prompts", "seeds", *who, "--count", "3", "--per-question", "4", "--rounds", "1", "--out", "prompts",
         "--template", str(home / "prompts.txt")),
        ("answers", "prompts@1", *who, "--out", "answers"),
        ("judge", "answers@1", *who, "--template", str(home / "grade.txt"), "--out", "graded"),
    ]  # fmt: skip
    for step in steps:
        estimated = called(capsys, home, *step, "--dry-run")[1]
        assert (estimated["dry_run"], estimated["calls"] >= 1) == (True, True)
        code, told, errors = called(capsys, home, *step)
        assert code == 0, (told, errors)
    assert {item.text: item.words for item in contents(home, "answers@1")[1]} == SAID
    assert [reason for _, reason in contents(home, "prompts@1")[2]] == ["not new: 1.00 like 'Name a river in France'"]
    code, told, _ = called(capsys, home, "select", "graded", "--least", "0.5", "--out", "taught")
    assert (code, told["items"], told["dropped"]) == (0, 2, 1)
    (tmp_path / "train").mkdir()
    path, changes = prepare("api", tmp_path / "train")
    line = ["train", str(path), *flags([*changes, "data.train=taught@1"]), "--home", str(home), "--json"]
    code = run(line)
    shown = capsys.readouterr()
    assert code == 0, shown.err + shown.out
    record = json.loads(shown.out)
    assert record["training"]["steps"] >= 1


@pytest.mark.slow
def test_the_same_teacher_makes_prompts_harder(capsys, tmp_path, url):
    (tmp_path / "harder.txt").write_text("Harder: {prompt}")
    with_dataset(tmp_path, "seeds", [chat(MADE[0])])
    verb = ("evolve", "seeds", "--teacher", url, "--model", "small", "--temperature", "0", "--max-tokens", "100")
    code, told, errors = called(capsys, tmp_path, *verb, "--template", str(tmp_path / "harder.txt"), "--out", "harder")
    assert code == 0, (told, errors)
    assert [item.text for item in contents(tmp_path, "harder@1")[1]] == [HARDER]
