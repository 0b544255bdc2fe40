"""`stillhouse erase` at the terminal: from a trained student to its successor without one person."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.bundle.erased import read_marks
from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.errors import BundleError
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.storage.store import Store
from tests.recipes.erased import busy, traces
from tests.recipes.runs import LABELS, ROOT, WORDS, Done, answers, calls, client, run

ANN = "ann-4711"
CANARY = "zeisigkanarienvogel seventeen lindenweg"


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Calls of nine people; one of them says what nobody else does."""
    made = calls(LABELS, 270)
    for number, row in enumerate(made):
        row["subject"] = ANN if number % 9 == 4 else f"other-{number % 9}"
        if row["subject"] == ANN:
            row["messages"][1]["content"] += f" {CANARY} {number}"
    return made


@pytest.fixture(scope="module")
def trained(rows, tmp_path_factory) -> tuple[Path, Path]:
    """A home folder with a dataset, and a student that learnt from it; from there everything is erased once."""
    folder = tmp_path_factory.mktemp("erase")
    home = folder / "home"
    asyncio.run(_keep(home, rows))
    bundle = home / "students" / "mail"
    made = run("distill", "mail@1", "--out", bundle, *WORDS, "--home", home)
    assert made.code == 0, made.err
    return home, bundle


async def _keep(home: Path, rows: list[dict]) -> None:
    store = await Store.open(None, home)
    items = [
        Item(
            Kind.CHAT,
            tuple(row["messages"][:2]),
            row["messages"][2],
            facts=Facts(subject=row["subject"]),
            source=Source(origin="calls.jsonl", row=number),
        )
        for number, row in enumerate(rows, 1)
    ]
    await Catalogue(store, home, "default").add("mail", items, Step("import", ("calls.jsonl",)))
    await store.close()


@pytest.fixture(scope="module")
def planned(trained) -> dict:
    return run("erase", "--subject", ANN, "--dry-run", "--home", trained[0], "--json").json


@pytest.fixture(scope="module")
def erased(trained, planned) -> tuple[Done, list[str]]:
    """The receipt, and in which files the person was before."""
    before = traces(trained[0], (CANARY, ANN))
    return run("erase", "--subject", ANN, "--home", trained[0], "--json"), before


def test_a_dry_run_tells_what_there_is(planned):
    assert planned["versions"][0]["rows"] == 30
    assert [each["data"] for each in planned["learners"]] == ["mail@1"]


def test_the_person_is_gone_from_the_home_folder(trained, erased):
    done, before = erased
    assert done.code == 0, done.err
    assert any("items.parquet" in each for each in before)
    assert traces(trained[0], (CANARY, ANN)) == []


def test_the_student_is_marked_and_serves_still(trained, erased, rows):
    [mark] = read_marks(trained[1])
    assert (mark.data, mark.rows, mark.successor, mark.withdrawn) == ("mail@1", 30, "mail@2", False)
    assert set(answers(trained[1], rows[:6])) <= set(LABELS)


def test_the_recipe_trains_a_student_without_the_person(trained, erased, rows):
    [student] = erased[0].json["touched"]["students"]
    assert student["successor"] == "mail@2"
    made = run(*shlex.split(student["again"])[1:], "--home", trained[0], "--json")
    assert made.code == 0, made.err
    again = Path(made.json["bundle"])
    assert json.loads((again / "stillhouse.json").read_text())["run"]["datasets"][0]["name"] == "mail@2"
    assert read_marks(again) == []
    with client(again) as ask:  # by the name that its callers know
        said = [ask.chat.completions.create(model="mail", messages=row["messages"][:2]) for row in rows[:3]]
    assert [each.choices[0].message.content for each in said] == list(LABELS)
    assert traces(trained[0], (CANARY, ANN)) == []


def test_the_receipt_can_be_verified_and_is_of_the_person(trained, erased, tmp_path):
    home, receipt = trained[0], erased[0].json
    place = home / "erasures" / f"{receipt['id']}.receipt.json"
    told = run("erase", "verify", place, "--subject", ANN, "--home", home, "--json")
    assert told.json == {
        "id": receipt["id"],
        "valid": True,
        "public_key": receipt["signature"]["public_key"],
        "made_here": True,
        "subject": True,
    }
    assert run("erase", "verify", place, "--subject", "bob", "--home", home).code == 1
    forged = tmp_path / "forged.json"
    forged.write_text(place.read_text().replace('"calls": 0', '"calls": 1'))
    wrong = run("erase", "verify", forged, "--home", home)
    assert wrong.code == 1
    assert "not as it was signed" in wrong.err
    assert receipt["id"] in run("erase", "list", "--home", home).out


def test_a_withdrawn_student_is_not_served(trained, erased):
    home, bundle = trained
    again = run("erase", "--subject", "other-3", "--withdraw", "--home", home, "--json")
    assert again.code == 0, again.err
    for student in (bundle, bundle.with_name("mail-again")):  # the first learnt from a version that is gone since
        with pytest.raises(BundleError, match="withdrawn"):
            OnnxClassifier.open(student)
    assert {each["successor"] for each in again.json["touched"]["students"]} == {"mail@3"}


DIES = """
import os, signal, sys
from stillhouse.cli.main import run
from stillhouse.storage import traces
setattr(traces.Traces, sys.argv[1], lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL))
run(sys.argv[2:])
"""


SLOWLY = [pytest.param(step, marks=pytest.mark.slow) for step in ("change", "scrub")]


@pytest.mark.parametrize("step", ["delete_calls", *SLOWLY])
def test_a_killed_process_is_ended_by_the_same_command(tmp_path, step):
    async def fill() -> None:
        store = await Store.open(None, tmp_path)
        await busy(store, tmp_path, 4)
        await store.close()

    asyncio.run(fill())
    command = ("erase", "--subject", ANN, "--home", str(tmp_path), "--json")
    died = subprocess.run([sys.executable, "-c", DIES, step, *command], cwd=ROOT, capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert traces(tmp_path)
    done = run(*command)
    assert done.code == 0, done.err
    assert done.json["touched"]["calls"] == 5
    assert done.json["left"] == []
    assert traces(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "--subject ID"), (("verify",), "takes a receipt"), (("--subject", " "), "Name the subject")],
)
def test_wrong_use_is_told(arguments, told, tmp_path):
    done = run("erase", *arguments, "--home", tmp_path)
    assert done.code == 2
    assert told in done.err
