"""`stillhouse keys`: a secret shown once, keys listed without it, and ended by name."""

from __future__ import annotations

import json

import pytest

from stillhouse.cli.main import run
from tests.storage.databases import database_option


@pytest.fixture
def told(own_database, tmp_path, capsys):
    """Runs the verb on a home folder; gives its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["keys", *database_option(own_database), *arguments, "--home", str(tmp_path)])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return call


def test_a_key_is_made_listed_and_revoked(told):
    made = json.loads(told("create", "ann", "--scope", "read", "--scope", "train", "--days", "2", "--json")[1])
    assert (made["name"], made["scopes"], made["project"], made["valid"]) == ("ann", ["read", "train"], "default", True)
    assert made["expires"] - made["created"] == pytest.approx(2 * 86_400, abs=2)
    [listed] = json.loads(told("list", "--json")[1])["keys"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert told("revoke", "ann")[0] == 0
    assert not json.loads(told("list", "--json")[1])["keys"][0]["valid"]


def test_scopes_may_be_named_together(told):
    made = json.loads(told("create", "ann", "--scope", "infer,read, train", "--scope", "read", "--json")[1])
    assert made["scopes"] == ["infer", "read", "train"]


def test_people_see_a_secret_once(told):
    assert "no keys yet" in told("list")[1]
    secret = told("create", "ann")[1].split()[-1]
    assert secret.startswith("sk-sh-")
    shown = told("list")[1]
    assert secret not in shown
    assert "ann  valid  infer, read  default  never used" in shown


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create",), "needs the name"),
        (("list", "ann"), "takes no name"),
        (("revoke", "nobody"), "'nobody'"),
        (("create", "ann", "--scope", "everything"), "everything"),
        (("create", "ann", "--scope", "read,"), "--scope ''"),
        (("lose", "ann"), "lose"),
        (("list", "--database", "mysql://x"), "mysql"),
    ],
)
def test_wrong_use_is_said(told, arguments, words):
    code, message = told(*arguments)
    assert (code, words in " ".join(message.split())) == (2, True), message
