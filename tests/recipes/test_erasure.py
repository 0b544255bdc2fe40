"""Erasure: no byte of the person is left in the home folder, and everybody else's data is as it was."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.receipts import check_receipt
from stillhouse.errors import OnHold, StorageError, UsageError
from stillhouse.recipes.erasure import Erasure, Wish
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.records import Wanted
from stillhouse.storage.store import Store
from stillhouse.storage.traces import Traces
from tests.recipes.erased import ANN, BOB, busy, call, item, said, traces

CALLS = 6


@pytest.fixture
def home(tmp_path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
async def store(home):
    store = await Store.open(None, home)
    yield store
    await store.close()


@pytest.fixture
async def filled(store, home) -> Store:
    await busy(store, home, CALLS)
    return store


async def test_no_byte_of_the_person_is_left(filled, home):
    assert len({each.split(":")[0] for each in traces(home)}) > 12
    receipt = await Erasure(filled, home, Wish(ANN)).run()
    await filled.close()
    assert traces(home) == []
    assert receipt["left"] == []
    assert not list((home / "erasures").glob("*.work*"))


async def test_datasets_that_are_called_after_the_person_are_told_of(store, home):
    catalogue = Catalogue(store, home, "default")
    await catalogue.add(ANN, [item(ANN, 1)], Step("filter"))
    receipt = await Erasure(store, home, Wish(ANN)).run()
    assert [each for each in receipt["not_reached"] if "names of datasets (1)" in each]
    assert ANN.encode() not in orjson.dumps(receipt)


async def test_everybody_else_is_as_before(filled, home):
    catalogue = Catalogue(filled, home, "default")
    await Erasure(filled, home, Wish(ANN)).run()
    ids = await filled.completions.ids("default", Wanted())
    assert ids == [f"chatcmpl-{BOB}-{number}" for number in range(CALLS)]
    assert await filled.completions.ids("default", Wanted(subject=ANN)) == []
    page = [each async for each in filled.traces.pieces("default", "kept_answer")]
    assert [orjson.loads(each.content)["id"] for each in page] == [f"chatcmpl-{BOB}-1"]
    run = orjson.loads((await filled.eval_runs.find("evalrun_1"))[1].source)
    rows = run["source"]["content"]
    assert rows[0]["item"]["input"] == "[erased]"
    assert rows[1]["item"]["completion_id"] == f"chatcmpl-{BOB}-2"
    lines = (home / "jobs/ftjob-1/train.jsonl").read_bytes().splitlines()
    assert len(lines) == CALLS
    assert (home / "server.log").read_bytes() == b"started\n"
    assert {each.reference for each in await catalogue.list() if each.name == "bob-only"} == {"bob-only@1"}


async def test_the_receipt_says_what_was_touched_and_names_nobody(filled, home):
    wish = Wish(ANN)
    plan = await Erasure(filled, home, wish).plan()
    receipt = await Erasure(filled, home, wish).run()
    done = receipt["touched"]
    assert check_receipt(receipt)
    assert ANN.encode() not in orjson.dumps(receipt)
    assert plan["calls"] == done["calls"] == CALLS + 1
    assert done["rows"] == {"kept_answer": 1, "eval_metadata": 1, "eval_run": 1, "eval_item": 1}
    assert done["answers_of_unknown_calls"] == 1
    files = {each["purpose"]: each for each in done["files"]}
    assert files["fine-tune"]["rows"] == CALLS
    assert files["fine-tune"]["before"] != files["fine-tune"]["after"]
    assert files["user_data"]["deleted"] is True
    versions = {each["version"]: each for each in done["versions"]}
    assert {name: each["rows"] for name, each in versions.items()} == {
        "support@1": CALLS,
        "support@2": CALLS - 1,
        "invented@1": 1,
    }
    assert versions["support@2"]["rows_dropped"] == 1
    assert versions["support@1"]["successor"] == "support@3"
    assert versions["support@2"]["successor"] == "support@4"
    assert any("backups" in each for each in receipt["not_reached"])


async def test_versions_that_lost_rows_are_gone_and_have_successors(filled, home):
    await Erasure(filled, home, Wish(ANN)).run()
    catalogue = Catalogue(filled, home, "default")
    with pytest.raises(UsageError, match=r"destroyed when a person was erased from it\. Take .*support@3"):
        await catalogue.find("support@1")
    newest = await catalogue.find("support")
    assert newest.reference == "support@4"
    assert newest.step.parents == ("support@2",)
    assert {each.facts.subject for each in catalogue.read(newest)} == {BOB}
    assert [each.reference for each in await catalogue.lineage(newest)] == ["support@4", "support@2", "support@1"]


async def test_a_dry_run_changes_nothing(filled, home):
    await filled.writer.change(_nothing)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and ".db" not in path.name}
    plan = await Erasure(filled, home, Wish(ANN)).plan()
    assert plan["erased"] is False
    assert plan["calls"] == CALLS + 1
    assert len(plan["caches"]) == 3
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and ".db" not in path.name} == before
    assert await filled.erasures.all() == []


async def test_a_legal_hold_refuses_with_its_reason(filled, home):
    await filled.holds.place("default", "lawsuit 12/26", "terminal:x", subject=ANN)
    for work in (Erasure(filled, home, Wish(ANN)).plan, Erasure(filled, home, Wish(ANN)).run):
        with pytest.raises(OnHold, match="lawsuit 12/26"):
            await work()
    assert len(await filled.completions.ids("default", Wanted(subject=ANN))) == CALLS


STEPS = [("change", 0), ("change", 3), ("delete_calls", 0), ("scrub", 0), ("scrub", 1)]


@pytest.mark.parametrize(("step", "after"), STEPS)
async def test_killed_in_the_middle_the_same_command_ends_it(filled, home, monkeypatch, step, after):
    kept, count = getattr(Traces, step), [0]

    async def broken(self, *given, **named):
        count[0] += 1
        if count[0] > after:
            raise KeyboardInterrupt
        return await kept(self, *given, **named)

    erasure = Erasure(filled, home, Wish(ANN))
    with monkeypatch.context() as patched:
        patched.setattr(Traces, step, broken)
        with pytest.raises(KeyboardInterrupt):
            await erasure.run()
    receipt = await Erasure(filled, home, Wish(ANN)).run()
    assert receipt["touched"]["calls"] == CALLS + 1
    assert receipt["touched"]["rows"]["eval_item"] == 1
    assert {each["successor"] for each in receipt["touched"]["versions"]} == {"invented@2", "support@3", "support@4"}
    assert [each.ended is not None for each in await filled.erasures.all()] == [True]
    await filled.close()
    assert traces(home) == []


async def test_who_was_never_there_gets_a_receipt_that_says_so(filled, home):
    receipt = await Erasure(filled, home, Wish("carla-1")).run()
    assert receipt["found_nothing"] is True
    assert len(await filled.completions.ids("default", Wanted())) == 2 * CALLS + 1
    assert (home / "stages/words-0123").is_dir()


async def test_words_that_others_said_too_are_not_taken_for_the_persons(filled, home):
    twin = call(BOB, 70)
    same = call(ANN, 70)
    await filled.completions.add("default", twin, same.__class__(**{**_fields(same), "messages": twin.messages}))
    await Erasure(filled, home, Wish(ANN)).run()
    assert twin.id in await filled.completions.ids("default", Wanted(subject=BOB))


async def test_a_name_is_needed():
    with pytest.raises(UsageError, match="--subject"):
        Wish(" ")


async def test_a_server_that_reads_for_long_is_told(filled, home, monkeypatch):
    monkeypatch.setattr("stillhouse.storage.traces.PATIENCE", 0.3)
    async with filled.database.reading() as connection:
        await connection.exec_driver_sql("BEGIN")
        await connection.exec_driver_sql("SELECT count(*) FROM completions")
        with pytest.raises(StorageError, match=r"same command|Erase again"):
            await Erasure(filled, home, Wish(ANN)).run()
        await connection.exec_driver_sql("ROLLBACK")
    assert (await Erasure(filled, home, Wish(ANN)).run())["left"] == []


def _fields(value):
    return {name: getattr(value, name) for name in value.__slots__}


async def _nothing(connection):
    return None


async def test_what_is_encrypted_is_found_and_its_keys_destroyed(store, home):
    await store.vault.make("terminal:x")
    await busy(store, home, CALLS)
    for who in (ANN, BOB):
        told = orjson.dumps({"comment": said(who, 1)})
        await store.feedback.add("default", StoredFeedback(f"feedback-{who}", 1, f"chatcmpl-{who}-1", told, who))
    receipt = await Erasure(store, home, Wish(ANN)).run()
    assert receipt["touched"]["keys_destroyed"] == 1
    assert receipt["touched"]["rows"]["eval_item"] == 1
    assert [call.subject for call in await store.completions.several("default", [f"chatcmpl-{BOB}-1"])] == [BOB]
    assert orjson.loads((await store.feedback.get("default", f"feedback-{BOB}")).content) == {"comment": said(BOB, 1)}
    entries = [each.event.action async for each in store.audit.entries()]
    assert "subject.erased" in entries
    assert (await store.audit.verify()).is_whole
    await store.close()
    assert traces(home) == []


async def test_who_is_called_like_any_number_is_erased_where_that_is_said(store, home):
    mine = call("1042", 1, metadata={"subject": "1042"})
    await store.completions.add("default", mine, call(BOB, 1))
    tickets = [orjson.dumps({"text": f"Ticket {n}: please refund"}) + b"\n" for n in range(1000, 1100)]
    file = await store.files.put("default", NewFile("t.jsonl", "fine-tune"), tickets)
    (home / "NOTES.md").write_text("Step 1042 was best.")
    catalogue = Catalogue(store, home, "default")
    asked = {"filter": {"equal": {"subject": ["1042", BOB]}}}
    await catalogue.add("support", [item(BOB, 1)], Step("filter", (), asked))
    plan = await Erasure(store, home, Wish("1042")).plan()
    assert (plan["rows"], plan["files"], plan["mentioned"]) == ({"version": 1}, [], [file.id, "NOTES.md"])
    receipt = await Erasure(store, home, Wish("1042")).run()
    assert (receipt["left"], receipt["mentioned"]) == ([], [file.id, "NOTES.md"])
    assert await store.completions.ids("default", Wanted()) == [f"chatcmpl-{BOB}-1"]
    assert (await store.files.get("default", file.id)).blob == file.blob
    assert "1042" not in orjson.dumps((await catalogue.find("support@1")).step.to_json()).decode()
