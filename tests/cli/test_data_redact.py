"""`stillhouse data redact` and `reveal`: what is found is counted, taken out, and where it was sealed comes back."""

from __future__ import annotations

import asyncio
import json

import pytest

from stillhouse.cli.main import run
from stillhouse.data.catalogue import Catalogue
from stillhouse.data.items import Facts, Item, Kind
from stillhouse.data.versions import Step
from stillhouse.storage.store import Store

SAID = "Write to ann@example.org or pay with 4111 1111 1111 1111."
PHONE = {"phone": "5551234567"}
ITEMS = [
    Item(Kind.TEXT, ({"role": "user", "content": SAID},), label="billing", facts=Facts(metadata=PHONE)),
    Item(Kind.TEXT, ({"role": "user", "content": "Where is it?"},), label="late"),
]


@pytest.fixture
def home(tmp_path):
    async def fill() -> None:
        store = await Store.open(None, tmp_path)
        try:
            await Catalogue(store, tmp_path, "default").add("support", ITEMS, Step("import", ("support.jsonl",)))
        finally:
            await store.close()

    asyncio.run(fill())
    return tmp_path


@pytest.fixture
def told(home, capsys):
    def call(*arguments: str) -> tuple[int, str]:
        code = run(["data", *arguments, "--home", str(home)])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return call


def texts(told, reference: str) -> list[str]:
    shown = json.loads(told("show", reference, "--json")[1])["shown"]
    return [item["messages"][0]["content"] for item in shown]


def test_a_dry_run_counts_and_changes_nothing(told, home):
    code, out = told("redact", "support", "--how", "vault", "--dry-run", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["found"] == {"card": 1, "email": 1, "phone": 1}
    assert result["touched"] == {"changed": 1, "unchanged": 1}
    assert not (home / "redaction").exists()
    assert "support@2" not in told("list")[1]
    assert "3 pieces in 1 of 2 items would be changed" in told("redact", "support", "--dry-run")[1]


def test_a_new_version_without_it_says_what_it_was_made_of(told):
    out = told("redact", "support", "--types", "email, card")[1]
    assert "support@2  2 items" in out
    assert "support@1 still holds it all" in out
    assert texts(told, "support@1")[0] == SAID
    assert texts(told, "support@2") == ["Write to [EMAIL] or pay with [CARD].", "Where is it?"]
    step = json.loads(told("show", "support@2", "--json")[1])["step"]
    assert (step["verb"], step["parents"]) == ("redact", ["support@1"])
    assert step["settings"] == {"how": "redact", "types": ["card", "email"]}
    assert step["counts"] == {"card": 1, "email": 1}


def test_what_it_was_made_of_can_be_destroyed_at_once(told, home):
    result = json.loads(told("redact", "support", "--replace", "--json")[1])
    assert (result["reference"], result["replaced"], result["items"]) == ("support@2", True, 2)
    kept = b"".join(path.read_bytes() for path in (home / "datasets").rglob("*") if path.is_file())
    assert b"ann@example.org" not in kept
    code, err = told("show", "support@1")
    assert (code, "Take support@2 instead" in err) == (2, True)
    assert json.loads(told("show", "support@2", "--json")[1])["step"]["parents"] == ["support@1"]


def test_what_is_on_hold_is_not_destroyed(told, home, capsys):
    assert run(["hold", "place", "case 7", "--home", str(home)]) == 0
    capsys.readouterr()
    code, err = told("redact", "support", "--replace")
    assert (code, "support@1 has items on hold" in err) == (1, True)
    assert texts(told, "support@1")[0] == SAID
    assert "support@2" not in told("list")[1]
    assert told("redact", "support")[0] == 0


def test_what_is_put_on_hold_meanwhile_is_not_destroyed(told, monkeypatch):
    add = Catalogue.add

    async def while_a_hold_is_placed(self, *given):
        await self._store.holds.place("default", "case 7", "terminal")
        return await add(self, *given)

    monkeypatch.setattr(Catalogue, "add", while_a_hold_is_placed)
    code, err = told("redact", "support", "--replace")
    assert (code, "support@1 has items on hold" in err) == (1, True)
    assert texts(told, "support@1")[0] == SAID


def test_what_was_sealed_comes_back_with_the_key(told, home):
    assert told("redact", "support", "--how", "vault", "--to", "closed")[0] == 0
    assert "4111" not in "".join(texts(told, "closed"))
    code, out = told("reveal", "closed", "--to", "open", "--json")
    assert code == 0
    assert json.loads(out)["revealed"] == {"card": 1, "email": 1, "phone": 1}
    assert texts(told, "open") == [SAID, "Where is it?"]
    original, opened = (json.loads(told("show", name, "--json")[1])["hash"] for name in ("support@1", "open"))
    assert original == opened


def test_the_audit_log_tells_what_was_destroyed_or_made_readable(told, home, capsys):
    assert told("redact", "support", "--how", "vault", "--replace")[0] == 0
    assert told("reveal", "support@2", "--to", "open")[0] == 0
    assert run(["audit", "list", "--json", "--home", str(home)]) == 0
    log = capsys.readouterr().out
    assert log.index("dataset.replaced") < log.index("dataset.revealed")
    assert "ann@example.org" not in log


def test_another_key_opens_nothing(told, monkeypatch):
    monkeypatch.setenv("ONE_KEY", "0123456789abcdef")
    monkeypatch.setenv("OTHER_KEY", "fedcba9876543210")
    monkeypatch.setenv("SHORT_KEY", "short")
    assert told("redact", "support", "--how", "vault", "--key-env", "ONE_KEY")[0] == 0
    code, err = told("reveal", "support@2", "--key-env", "OTHER_KEY")
    assert (code, "Nothing in support@2 was sealed with this key" in err) == (1, True)
    assert told("reveal", "support@2", "--key-env", "ONE_KEY")[0] == 0
    code, err = told("redact", "support", "--how", "hash", "--key-env", "SHORT_KEY")
    assert (code, "16 or more" in err) == (2, True)


def test_the_same_again_is_the_same_version(told):
    first, second = (json.loads(told("redact", "support@1", "--how", "pseudonymise", "--json")[1]) for _ in range(2))
    assert (first["reference"], first["hash"]) == (second["reference"], second["hash"]) == ("support@2", first["hash"])


def test_wrong_use(told):
    code, err = told("redact", "support", "--types", "mail")
    assert (code, "'mail' is no kind of personal data" in err) == (2, True)
    code, err = told("reveal", "support")
    assert (code, "no key of the project" in err) == (2, True)


def test_a_second_look_with_presidio(told, tmp_path):
    import spacy

    model = spacy.blank("en")
    model.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Where is it"}])
    model.to_disk(tmp_path / "model")
    code, said = told("redact", "support", "--presidio", str(tmp_path / "model"), "--json")
    assert (code, json.loads(said)["found"]["person"]) == (0, 1)
    assert texts(told, "support@2")[1] == "[PERSON]?"
    assert "presidio 2." in told("lineage", "support@2")[1]
    code, said = told("redact", "support", "--presidio", "no_such_model")
    assert code == 2
    assert "spacy download no_such_model" in said
