"""Traces: pieces of rows are found page by page, changed and deleted; nothing of them stays in SQLite's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import OnHold
from stillhouse.storage.audit import Audit
from stillhouse.storage.completions import Completions
from stillhouse.storage.eval_items import EvalItems
from stillhouse.storage.eval_records import DoneItem, RunCounts, StoredItem
from stillhouse.storage.eval_runs import EvalRuns
from stillhouse.storage.evals import Evals
from stillhouse.storage.holds import Holds
from stillhouse.storage.records import Wanted
from stillhouse.storage.traces import KINDS, Traces
from tests.storage.kept_evals import a_run, an_eval
from tests.storage.stored import completion

CANARY = b"kanarienvogel-zeisig"


@pytest.fixture
def traces(database, writer) -> Traces:
    return Traces(database, writer)


async def test_pieces_are_read_over_pages_changed_and_deleted(traces, database, writer, monkeypatch):
    monkeypatch.setattr("stillhouse.storage.traces.TOGETHER", 2)
    await Evals(database, writer).add("p", an_eval(1))
    run = a_run(1)
    await EvalRuns(database, writer).add("p", run)
    await EvalRuns(database, writer).move(run.id, "in_progress")
    items = [DoneItem(StoredItem(f"o{row}", row, "pass", b"%d" % row), RunCounts()) for row in range(5)]
    await EvalItems(database, writer).add(run.id, items)
    pieces = [piece async for piece in traces.pieces("p", "eval_item")]
    assert [piece.content for piece in pieces] == [b"0", b"1", b"2", b"3", b"4"]
    await traces.change(pieces[1], b"changed")
    await traces.change(pieces[3], None)
    again = [piece.content async for piece in traces.pieces("p", "eval_item")]
    assert again == [b"0", b"changed", b"2", b"4"]
    assert [piece async for piece in traces.pieces("other", "eval_item")] == []


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_can_be_asked_for(traces, kind):
    assert [piece async for piece in traces.pieces("p", kind)] == []


async def test_calls_go_with_all_they_are_found_by(traces, completions):
    kept = [completion(number, tier="gold") for number in range(3)]
    await completions.add("p", *kept)
    await completions.delete("p", kept[2].id)
    assert await traces.whose("p", [each.id for each in kept]) == {kept[0].id, kept[1].id}
    assert await traces.delete_calls("p", kept) == 2
    assert await completions.ids("p", Wanted(metadata={"tier": "gold"})) == []
    assert await completions.known("p", [each.id for each in kept]) == set()
    assert await traces.delete_calls("p", []) == 0


async def test_a_hold_keeps_calls(traces, database, writer, completions):
    await completions.add("p", completion(1))
    await Holds(database, writer, Audit(database, writer)).place("p", "lawsuit", "me", completion=completion(1).id)
    with pytest.raises(OnHold, match="legal hold"):
        await traces.delete_calls("p", [completion(1)])
    assert len(await completions.ids("p", Wanted())) == 1


async def test_nothing_of_what_was_deleted_stays_in_the_files(traces, database, writer):
    completions = Completions(database, writer)
    rows = [completion(number) for number in range(50)]
    rows = [row.__class__(**{**_fields(row), "messages": CANARY * 50}) for row in rows]
    await completions.add("p", *rows)
    await completions.delete("p", rows[0].id)  # without zeros over it
    await traces.delete_calls("p", rows)
    told = await traces.scrub()
    if not database.is_sqlite:
        assert "PostgreSQL's own journal" in told
        return
    file = Path(database.url.database)
    for place in (file, Path(f"{file}-wal")):
        assert not place.is_file() or CANARY not in place.read_bytes()


def _fields(value):
    return {name: getattr(value, name) for name in value.__slots__}
