"""Every example runs as it stands, and does what it says."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Callable
from typing import Any

import pytest

from tests.storage.databases import new_database
from tests.structure.source import ROOT

DOES: dict[str, Callable[[Any], bool]] = {
    "own_loop": lambda figures: figures["student"] > 0.9,
    "distil_classifier": lambda done: done.after["top1_agreement"] >= 0.9 > done.before["top1_agreement"],
    "distil_language_model": lambda done: done.after["kl_to_teacher"] < 0.6 * done.before["kl_to_teacher"],
    "distil_vision": lambda shares: shares[1] > 0.9 > shares[0],
    "distil_embeddings": lambda found: found[1]["spearman"] > found[0]["spearman"],
    "hosted_suite": lambda found: all(WORKFLOWS[name](found[name]) for name in WORKFLOWS) and len(found) == 6,
}
WORKFLOWS: dict[str, Callable[[Any], bool]] = {
    "distillation": lambda told: told["rows"] == 100 and told["distilled"] > told["base"] + 0.3,
    "monitoring": lambda told: all(run["status"] == "completed" and run["items"] == 20 for run in told.values()),
    "regression": lambda told: told["passed"] == told["of"] == 20 and told["page"],
    "bulk": lambda told: len(told) == 6 and all(run["errored"] == 0 for run in told.values()),
    "chat_tuning": lambda told: told["accuracy"] > 0.6 and told["checkpoints"] == 3,
    "preferences": lambda told: told["accuracy"] > 0.6 and told["model"].startswith("ft:base:"),
}


def test_every_example_is_run():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(DOES)


LONG = ("hosted_suite",)
"""Those that take a minute; each of its workflows has tests of its own."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in DOES])
def test_an_example_does_what_it_says(name, capsys, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")  # as where a script is run
    found = runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"]()
    assert DOES[name](found)
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
def test_the_hosted_suite_does_the_same_on_postgresql(postgres_url, capsys, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_DATABASE", asyncio.run(new_database(postgres_url)))
    test_an_example_does_what_it_says("hosted_suite", capsys, monkeypatch)
