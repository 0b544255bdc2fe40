"""`stillhouse terms` at the terminal: written down, listed, shown, forgotten; wrong ones are refused."""

from __future__ import annotations

import hashlib

import pytest

from tests.recipes.runs import run


def test_terms_are_written_down_listed_shown_and_forgotten(tmp_path):
    home, copy = ("--home", tmp_path / "home"), tmp_path / "terms.html"
    copy.write_text("You may not train.")
    said = ("--allow", "evaluate,serve", "--model", "big-*", "--expires", "2030-01-31", "--snapshot", copy)
    added = run("terms", "add", "big", *said, "--source", "https://example.com/terms", *home, "--json")
    assert added.code == 0, added.err
    assert added.json["allowed"] == ["evaluate", "serve"]
    assert added.json["snapshot"] == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert run("terms", "list", *home, "--json").json["terms"] == [added.json]
    assert run("terms", "show", "big-4o", *home, "--json").json == added.json
    assert "allows evaluate, serve  until 2030-01-31" in run("terms", "list", *home).out
    assert run("terms", "remove", "big", *home).code == 0
    assert "No terms are known yet" in run("terms", "list", *home).out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add",), "needs the name of a teacher"),
        (("list", "big"), "takes no name"),
        (("add", "big", "--allow", "sell"), "is no use that terms speak of"),
        (("add", "big", "--expires", "soon"), "is no day"),
        (("add", "big", "--snapshot", "nowhere.html"), "cannot be read"),
        (("show", "big"), "No terms of 'big' are known"),
        (("remove", "big"), "has no terms of 'big'"),
    ],
)
def test_wrong_use_is_told(arguments, told, tmp_path):
    done = run("terms", *arguments, "--home", tmp_path)
    assert done.code == 2
    assert told in done.err
