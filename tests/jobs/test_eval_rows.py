"""Rows of every source, the same ones however often they are read."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from stillhouse.jobs.eval_rows import LONGEST, EvalRows, Unreadable
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.store import Store
from stillhouse.wire.data_sources import FileContent, FileId, Row, StoredCompletions
from stillhouse.wire.errors import WireError
from stillhouse.wire.evals import Config
from tests.storage.kept_evals import a_run, an_eval
from tests.storage.stored import completion

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CUSTOM = Config("custom", SCHEMA, True, {})
STORED = Config("logs", {}, True, {"use": "desk"})
RUN = "evalrun_0001"


@pytest.fixture
async def store(url, tmp_path):
    store = await Store.open(url, tmp_path)
    await store.evals.add("p", an_eval(1))
    await store.eval_runs.add("p", a_run(1))
    yield store
    await store.close()


async def read(store, source, config=CUSTOM, done=frozenset(), project="p") -> dict[int, Row | Unreadable]:
    return {number: row async for number, row in EvalRows(store, project, RUN, source, config).read(done)}


async def file_of(store, *lines: bytes) -> FileId:
    file = await store.files.put("p", NewFile("rows.jsonl", "evals"), [b"\n".join(lines)])
    return FileId(file.id)


async def test_rows_that_came_with_the_run(store):
    rows = (Row({"n": 0}), Row({"n": 1}), Row({"n": 2}))
    assert await read(store, FileContent(rows), done={1}) == {0: rows[0], 2: rows[2]}


async def test_rows_of_a_file_are_numbered_without_empty_lines(store):
    lines = (b'{"item":{"n":0}}', b"", b'  {"item":{"n":1},"sample":{"output_text":"x"}}', b"{", b'{"item":{"n":"x"}}')
    found = await read(store, await file_of(store, *lines))
    assert list(found) == [0, 1, 2, 3]
    first, second, third, fourth = found.values()
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.item, second.sample.text) == ({"n": 0}, "x")
    assert third == Unreadable({}, third.reason)
    assert "Line 3 is not JSON" in third.reason
    assert isinstance(fourth, Unreadable)
    assert fourth.item == {"n": "x"}


async def test_a_large_file_is_read_in_pieces(store):
    lines = [orjson.dumps({"item": {"n": number, "pad": "x" * 500}}) for number in range(3_000)]
    found = await read(store, await file_of(store, *lines))
    assert [row.item["n"] for row in found.values()] == list(range(3_000))


async def test_a_line_too_long_for_memory_ends_the_run(store):
    with pytest.raises(WireError, match="more than 8 MiB"):
        await read(store, await file_of(store, b"x" * (LONGEST + 1)))


@pytest.mark.parametrize("project", ["p", "q"])
async def test_no_file_and_no_row_are_told(store, project):
    source = await file_of(store, b"") if project == "p" else await file_of(store, b'{"item":{"n":0}}')
    with pytest.raises(WireError) as caught:
        await read(store, source, project=project)
    assert caught.value.code == "invalid_data"


async def test_stored_completions_are_those_of_the_beginning(store):
    for number in (1, 2, 3):
        await store.completions.add("p", completion(number, use="desk", kind="a" if number < 3 else "b"))
    await store.completions.add("p", completion(4, use="other"))
    await store.completions.add("q", completion(5, use="desk"))
    source = StoredCompletions({})
    found = await read(store, source, STORED)
    assert [row.sample.text for row in found.values()] == ["answer 1", "answer 2", "answer 3"]
    assert found[0].item == {
        "input": [{"role": "user", "content": "question 1"}],
        "completion_id": "chatcmpl-000001",
    }
    await store.completions.add("p", completion(6, use="desk"))
    await store.completions.delete("p", "chatcmpl-000002")
    again = await read(store, source, STORED, done={0})
    assert list(again) == [1, 2]
    assert isinstance(again[1], Unreadable)
    assert "has been deleted" in again[1].reason


async def test_a_completion_without_words_cannot_be_told_of(store):
    await store.completions.add("p", replace(completion(1, use="desk"), messages=b"[]"))
    await store.completions.add("p", replace(completion(2, use="desk"), answer=b'{"choices":[]}'))
    found = await read(store, StoredCompletions({}), STORED)
    assert all(isinstance(row, Unreadable) for row in found.values())
    assert "without its words" in found[0].reason


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (StoredCompletions({"kind": "a"}), [1, 2]),
        (StoredCompletions({"use": "desk"}, limit=2), [2, 3]),
        (StoredCompletions({}, "alias-of-large", created_after=2), [2, 3]),
        (StoredCompletions({}, created_before=1), [1]),
        (StoredCompletions({"use": "other"}), None),
        (StoredCompletions({}, "nobody"), None),
    ],
)
async def test_filters_of_eval_and_run_must_both_hold(store, source, expected):
    for number in (1, 2, 3):
        await store.completions.add("p", completion(number, use="desk", kind="a" if number < 3 else "b"))
    if expected is None:
        with pytest.raises(WireError, match="No stored completion fits"):
            await read(store, source, STORED)
        return
    found = await read(store, source, STORED)
    assert [row.item["completion_id"] for row in found.values()] == [f"chatcmpl-{number:06}" for number in expected]
