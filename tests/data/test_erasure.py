"""Erasing: calls are found by every name, rows of files are taken out or the file is deleted, others keep theirs."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import select

from stillhouse.data.erasure import Erasing, names_another
from stillhouse.data.trace import Trace
from stillhouse.storage.feedback_records import ReviewState, StoredFeedback, StoredReview
from stillhouse.storage.file_records import NewFile, Upload, UploadState
from stillhouse.storage.records import Cut, Wanted
from stillhouse.storage.sealing import is_sealed, key_id_of
from stillhouse.storage.store import Store
from stillhouse.storage.tables import FEEDBACK, REVIEWS
from tests.recipes.erased import ANN, BOB, call, said
from tests.storage.databases import KINDS, new_database


@pytest.fixture(params=KINDS)
async def store(request, tmp_path):
    url = None if request.param == "sqlite" else await new_database(request.getfixturevalue("postgres_url"))
    store = await Store.open(url, tmp_path)
    yield store
    await store.close()


@pytest.fixture
async def erasing(store) -> Erasing:
    later = call(ANN, 9, subject=None, metadata={"subject": ANN})
    await store.completions.add("default", *[call(who, 1) for who in (ANN, BOB)], later)
    await store.completions.add("other", call(ANN, 1))
    return Erasing(store, "default", Trace(ANN), lambda told: None)


async def _file(store, name, rows):
    lines = [orjson.dumps(row) + b"\n" if not isinstance(row, bytes) else row for row in rows]
    return await store.files.put("default", NewFile(name, "fine-tune"), lines)


async def test_calls_are_found_by_capture_and_by_metadata_and_deleted(erasing, store):
    assert sorted([each.id async for each in erasing.calls()]) == [f"chatcmpl-{ANN}-1", f"chatcmpl-{ANN}-9"]
    assert await erasing.erase_calls() == 2
    assert await store.completions.ids("default", Wanted()) == [f"chatcmpl-{BOB}-1"]
    assert await store.completions.ids("other", Wanted()) == [f"chatcmpl-{ANN}-1"]


async def test_files_are_rewritten_or_deleted(erasing, store):
    mixed = await _file(store, "a.jsonl", [{"text": said(ANN, 1)}, {"text": said(BOB, 1)}, {"user": ANN, "text": "hm"}])
    alone = await _file(store, f"{ANN}.jsonl", [{"user": ANN}])
    others = await _file(store, "b.jsonl", [{"text": said(BOB, 1)}])
    binary = await _file(store, "c.bin", [b"\0" + said(ANN, 1).encode()])
    await erasing.learn()
    await erasing.unlearn()
    found = await erasing.survey()
    assert {name: each["rows"] for name, each in found.files.items()} == {mixed.id: 2, alone.id: 1, binary.id: 0}
    assert found.files[mixed.id]["by"] == {"words": 1, "name": 1}
    became = {name: await erasing.erase_file(name) for name in found.files}
    assert became[mixed.id]["rows_left"] == 1
    assert became[alone.id]["deleted"]
    assert became[binary.id]["deleted"]
    with await store.files.open(await store.files.get("default", mixed.id)) as opened:
        assert orjson.loads(opened.read()) == {"text": said(BOB, 1)}
    assert (await store.files.get("default", others.id)).blob == others.blob
    assert await erasing.erase_file(alone.id) is None
    assert await erasing.erase_file(mixed.id) == {"after": became[mixed.id]["after"]}


async def _bytes(store, file_id) -> bytes:
    with await store.files.open(await store.files.get("default", file_id)) as opened:
        return opened.read()


@pytest.fixture
def of_number(store) -> Erasing:
    """Who is called like any number."""
    return Erasing(store, "default", Trace("1042"), lambda told: None)


async def test_a_file_that_mentions_a_number_keeps_its_rows(of_number, store):
    tickets = await _file(store, "t.jsonl", [{"text": f"Ticket {n}: please refund"} for n in range(1000, 1100)])
    picture = await _file(store, "p.bin", [b"\0 1042 \0"])
    table = await _file(store, "t.csv", [b"step,loss\n", b"1042,0.5\n"])
    await of_number.learn()
    await of_number.unlearn()
    assert (await of_number.survey()).files == {}
    assert sorted(await of_number.mentions()) == sorted([tickets.id, picture.id, table.id])
    assert await of_number.erase_file(tickets.id) == {"after": tickets.blob.digest}
    assert (await _bytes(store, tickets.id)).count(b"\n") == 100


async def test_of_such_a_file_only_the_rows_that_name_the_person_go(of_number, store):
    rows = [{"user": "1042", "text": "mine"}, {"user": BOB, "text": "Ticket 1042"}]
    asked = [{"body": {"user": "1042"}}, {"note": '{"user": "1042", "text'}]
    file = await _file(store, "t.jsonl", rows + asked)
    await of_number.learn()
    await of_number.unlearn()
    assert (await of_number.survey()).files[file.id]["by"] == {"name": 3}
    assert (await of_number.erase_file(file.id))["rows_left"] == 1
    assert orjson.loads(await _bytes(store, file.id)) == rows[1]


async def test_where_only_others_rows_hold_an_unmistakable_name_the_file_stays(erasing, store):
    file = await _file(store, "t.jsonl", [{"text": f"as {ANN} said"}, {"text": "not me"}])
    await erasing.learn()
    await erasing.unlearn()
    assert (await erasing.survey()).files[file.id]["by"] == {"name": 1}
    assert (await erasing.erase_file(file.id))["rows_left"] == 1
    assert orjson.loads(await _bytes(store, file.id)) == {"text": "not me"}
    assert await erasing.mentions() == []


async def test_what_was_said_of_the_calls_goes_with_them(erasing, store):
    for number, who in enumerate((ANN, BOB)):
        told = StoredFeedback(f"feedback-{number}", 1, f"chatcmpl-{who}-1", b'{"comment": "x"}')
        await store.feedback.add("default", told)
        review = StoredReview(f"review-{number}", 1, 0.5, ReviewState.WAITING, f"item-{who}", "mail@1", b"{}", who)
        await store.reviews.add("default", [review])
    await erasing.learn()
    found = await erasing.survey()
    assert (found.rows["feedback"], found.rows["review"]) == (1, 1)
    await erasing.erase_rows()
    assert [each.completion for each in (await store.feedback.page("default", Cut())).rows] == [f"chatcmpl-{BOB}-1"]
    assert (await erasing.survey()).rows["review"] == 0


async def _tell(store, person: str, words: str) -> None:
    """Feedback and a review that are about a person and say some words."""
    content = orjson.dumps({"comment": words})
    await store.feedback.add(
        "default", StoredFeedback(f"feedback-{person}", 1, f"chatcmpl-{person}-1", content, person)
    )
    review = StoredReview(f"review-{person}", 1, 0.5, ReviewState.WAITING, f"item-{person}", "mail@1", content, person)
    await store.reviews.add("default", [review])


async def _closed_by(store, table, row_id: str) -> str:
    """The key that closes what a row holds."""
    query = select(table.c.content).where(table.c.id == row_id)
    async with store.database.reading() as connection:
        content = (await connection.execute(query)).scalar_one()
    assert is_sealed(content)
    return key_id_of(content)


async def test_encrypted_feedback_and_reviews_of_others_stay_closed_by_their_own_keys(erasing, store):
    await store.vault.make("terminal:x")
    await _tell(store, ANN, said(ANN, 1))
    await _tell(store, BOB, f"Such as: {said(ANN, 1)}")
    rows = ((FEEDBACK, f"feedback-{BOB}"), (REVIEWS, f"review-{BOB}"))
    before = [await _closed_by(store, *each) for each in rows]
    await erasing.learn()
    await erasing.unlearn()
    found = await erasing.survey()
    assert (found.rows["feedback"], found.rows["review"]) == (2, 2)
    await erasing.erase_rows()
    left = [(await store.feedback.page("default", Cut())).rows, await store.reviews.list("default")]
    assert [[each.subject for each in some] for some in left] == [[BOB], [BOB]]
    assert [[orjson.loads(each.content) for each in some] for some in left] == [[{"comment": "[erased]"}]] * 2
    assert [await _closed_by(store, *each) for each in rows] == before


async def test_filters_that_name_the_person_or_quote_them_are_dropped(erasing, store):
    filters = {
        "of ann": {"equal": {"subject": [ANN]}},
        "quoting": {"like": said(ANN, 1)},
        ANN: {"longer": 3},
        "of bob": {"equal": {"subject": [BOB]}},
    }
    for name, filter_ in filters.items():
        await store.datasets.save_filter("default", name, orjson.dumps(filter_))
    await erasing.learn()
    await erasing.unlearn()
    assert (await erasing.survey()).rows["saved_filter"] == 3
    await erasing.erase_rows()
    assert list(await store.datasets.filters("default")) == ["of bob"]


async def test_uploads_that_are_not_whole_yet_are_cancelled(erasing, store):
    uploads: dict[str, Upload] = {}
    for who in (ANN, BOB):
        upload = uploads[who] = await store.uploads.create("default", NewFile("a.jsonl", "fine-tune"), 1_000)
        async with store.files.blobs.draft() as draft:
            await draft.write(said(who, 1).encode())
            await store.uploads.add_part("default", upload, draft, 1_000)
    await erasing.learn()
    await erasing.unlearn()
    assert (await erasing.survey()).rows["upload"] == 1
    await erasing.erase_rows()
    states = {who: (await store.uploads.get("default", upload.id)).state for who, upload in uploads.items()}
    assert states == {ANN: UploadState.CANCELLED, BOB: UploadState.PENDING}


@pytest.mark.parametrize(
    ("row", "another"),
    [
        ({"user": BOB}, True),
        ({"user": ANN}, False),
        ({"metadata": {"subject": BOB}}, True),
        ({"item": {"facts": {"subject": BOB}}}, True),
        ({"text": BOB}, False),
        ([BOB], False),
    ],
)
def test_rows_of_others_are_told_by_the_name_that_they_have(row, another):
    assert names_another(row, ANN) is another
