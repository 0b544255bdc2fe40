"""`stillhouse distill` at the terminal: what it says, and how it refuses what it cannot use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes.runs import LABELS, ROOT, WORDS, Done, calls, chat, run, texts, write

LETTERS = [f"Dear customer {row}, thank you for asking. We shall look into it in {row} days." for row in range(60)]


@pytest.fixture
def refused(tmp_path):
    """Runs `distill` with what cannot be used; sees to it that one message comes and nothing is left behind."""

    def attempt(traffic: object, *options: object, out: object = None) -> Done:
        place = ("--out", out or tmp_path / "student", "--home", tmp_path / "home")
        before = set(tmp_path.rglob("*"))
        done = run("distill", *([traffic] if traffic else []), *place, *WORDS, *options)
        assert done.out == ""
        assert done.err.count("error:") == 1, done.err
        assert "Traceback" not in done.err
        assert "fault in Stillhouse" not in done.err
        made = {path for path in set(tmp_path.rglob("*")) - before if (tmp_path / "home") not in (path, *path.parents)}
        assert made == set(), "nothing is left behind"
        return done

    return attempt


@pytest.fixture
def good(tmp_path) -> Path:
    return write(tmp_path / "calls.jsonl", calls(LABELS, 60))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "is empty"),
        ([*calls(LABELS, 6), '{"messages": [{"role"', *calls(LABELS, 60, seed=1)], "line 7: it is not valid JSON"),
        ([json.dumps(row).replace("assistant", "asistant") for row in calls(LABELS, 20)], 'has the role "asistant"'),
        ([chat(text, letter) for text, letter in zip(texts([0] * 60), LETTERS, strict=True)], "line 1: “Dear"),
        (calls(["same"], 60), "A constant needs no model"),
        ([chat(text, None) for text in texts([0] * 30)], "No row with an answer"),
        ([chat("one and the same", LABELS[row % 2]) for row in range(30)], "different contents"),
    ],
    ids=["empty", "line 7", "roles", "free text", "all equal", "unanswered", "one prompt"],
)
def test_traffic_that_cannot_be_used_is_named_with_its_rows(rows, told, refused, tmp_path):
    done = refused(write(tmp_path / "bad.jsonl", rows))
    assert done.code == 1
    assert told in done.err
    assert told == "different contents" or "No row" in told or "constant" in told or "bad.jsonl" in done.err


def test_files_that_are_no_traffic(refused, tmp_path):
    (tmp_path / "binary").write_bytes(os.urandom(3_000))
    for path, told in ((tmp_path / "binary", "binary"), (tmp_path / "none", "does not exist"), (tmp_path, "a folder")):
        done = refused(path)
        assert (done.code, told in done.err) == (1, True), done.err
    assert "stillhouse distill calls.jsonl" in refused(None).err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--student", "wrods"), "Did you mean words?"),
        (("--student", "encoder-2"), "needs an encoder"),
        (("--student", ","), "--student names nothing"),
        (("--margn", "0.1"), "--margin"),
        (("--margin", "2"), "between 0 and 1"),
        (("--risk", "nan"), "between 0 and 1"),
        (("--freeze", "-1"), "--freeze must be 0 or more"),
        (("--freeze", "2"), "--freeze 2 keeps layers of an encoder as they are, and there is none"),
        (("--seed", "-1"), "--seed must be 0 or more"),
        (("--seed", str(2**70)), "--seed must be 0 or more and under"),
        (("--seed", "one"), "--seed"),
        (("--max-minutes", "0"), "--max-minutes must be above 0"),
        (("--max-minutes", "nan"), "--max-minutes must be above 0"),
        (("--price-input", "-4"), "--price-input must be 0 or more"),
        (("--encoder", "no-such/encoder"), "'no-such/encoder' cannot be loaded"),
        (("--fields", "intent"), "not JSON objects"),
    ],
    ids=" ".join,
)
def test_options_that_cannot_be_are_wrong_use(options, told, good, refused):
    done = refused(good, *options)
    assert (done.code, told in done.err) == (2, True), done.err


def test_a_wrong_student_is_told_before_a_large_file_is_read(refused, tmp_path):
    assert "Did you mean static?" in refused(tmp_path / "not even there", "--student", "statik").err


def test_places_that_a_bundle_cannot_take(good, refused, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    wanted = {
        tmp_path / "file" / "student": "is a file",
        tmp_path / "file": "is a file",
        tmp_path / "full": "holds other things",
        tmp_path / "home": "would replace",
    }
    for out, told in wanted.items():
        done = refused(good, out=out)
        assert (done.code, told in done.err) == (2, True), done.err
    assert (tmp_path / "full" / "letter.txt").read_text() == "mine"
    assert run("distill", good, *WORDS).code == 2, "without --out"


def test_an_earlier_bundle_is_replaced_but_never_with_the_traffic_inside(good, refused, plain, tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "stillhouse.json").write_text("{}")
    inside = write(earlier / "calls.jsonl", calls(LABELS, 60))
    assert "would replace" in refused(inside, out=earlier).err
    inside.unlink()
    done = run("distill", good, "--out", earlier, "--home", tmp_path / "home", *WORDS)
    assert done.code == 0, done.err
    assert (earlier / "report.html").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sed = 3", "sets 'sed', which is no option. Did you mean 'seed'?"),
        ("seed = '3'", "it must be a whole number"),
        ("margin = true", "it must be a number"),
        ("freeze = 2.5", "it must be a whole number"),
        ("freeze = 2", "--freeze 2 keeps layers of an encoder"),
        ("traffic = [3]", "it must be a list of texts"),
        ("labels = ['a']", "it must be a text"),
        ("seed =", "is not TOML"),
        ("margin = 3", "between 0 and 1"),
    ],
)
def test_a_recipe_with_a_mistake_names_it(text, told, good, refused, tmp_path):
    (tmp_path / "recipe.toml").write_text(text)
    done = refused(good, "--recipe", tmp_path / "recipe.toml")
    assert (done.code, told in done.err) == (2, True), done.err


def test_a_recipe_sets_options_and_the_command_line_overrules_it(good, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'traffic = ["{good}"]\nout = "{tmp_path}/student"\nstudent = "words"\n'
        'encoder = "none"\nmargin = 0.3\nrisk = 1\n'
    )
    done = run("distill", "--recipe", recipe, "--home", tmp_path / "home", "--risk", "0.4", "--json")
    assert done.code == 0, done.err
    certificate = done.json["certificate"]
    assert (certificate["margin"], certificate["cascade"]["risk"]) == (0.3, 0.4)


def test_a_dry_run_says_what_was_understood_and_trains_nothing(good, tmp_path):
    place = ("--out", tmp_path / "student", "--home", tmp_path / "home", "--dry-run", *WORDS)
    plan = run("distill", good, *place, "--json").json
    assert plan["students"] == ["words"]
    assert [sorted(field["labels"]) for field in plan["fields"]] == [sorted(LABELS)]
    assert plan["rows"] == {"read": 60, "used": 60, "bad": 0, "outside": 0}
    assert "3 labels" in run("distill", good, *place).out
    assert not (tmp_path / "student").exists()
    assert not (tmp_path / "home").exists()


def test_labels_and_fields_are_the_users_to_say(good, tmp_path):
    place = ("--out", tmp_path / "student", "--home", tmp_path / "home", "--dry-run", "--json", *WORDS)
    fewer = run("distill", good, *place, "--labels", ", ".join(LABELS[:2]), "--skip-bad-rows").json
    assert fewer["fields"][0]["labels"] == list(LABELS[:2])
    assert fewer["rows"] == {"read": 60, "used": 60, "bad": 0, "outside": 20}
    both = [json.dumps({"a": letter, "why": f"because of {row}"}) for row, letter in enumerate("xyzxyzxyz" * 6)]
    rows = [chat(text, answer) for text, answer in zip(texts([0] * 54), both, strict=True)]
    chosen = run("distill", write(tmp_path / "json.jsonl", rows), *place, "--fields", "a").json
    assert chosen["fields"] == [{"name": "a", "labels": ["x", "y", "z"]}]


def test_people_see_the_ladder_the_verdict_and_what_to_do_next(plain):
    done = run("distill", plain / "calls.jsonl", "--out", plain / "student", "--home", plain / "home", *WORDS)
    assert "words" in done.out
    assert f"stillhouse serve --model {plain / 'student'}" in done.out
    assert "Too few calls to tell" in done.out or "The student" in done.out
    assert "done before" in done.err


WATCH = """
import os, sys
from stillhouse.cli.main import run

class Watch:
    def find_spec(self, name, *rest):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))

sys.meta_path.insert(0, Watch())
run(sys.argv[1:])
"""


def test_how_threads_wait_is_settled_before_torch_is_there(good, tmp_path):
    place = ["--out", str(tmp_path / "student"), "--home", str(tmp_path / "home"), "--encoder", "no-such/encoder"]
    free = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", WATCH, "distill", str(good), *place]
    done = subprocess.run(command, cwd=ROOT, env=free, capture_output=True, text=True, timeout=120)
    assert done.stdout == "PASSIVE\n", done.stderr


def test_stdout_and_exit_code_of_the_real_command(tmp_path):
    missing = [sys.executable, "-m", "stillhouse", "distill", "none.jsonl", "--out", str(tmp_path / "x"), "--json"]
    missing += ["--home", str(tmp_path / "home"), *WORDS]
    done = subprocess.run(missing, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["type"] == "TrafficError"
    assert done.stderr.startswith("error: none.jsonl does not exist")
