"""Every route × every kind of key × another project: a route that is not in the table here, or says less, fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import requests

from stillhouse.gateway.document import NAMED
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.furnished import PROJECT, STUDENT, TUNED, Furnished, furnished
from tests.gateway.serving import prompt

EMPTY = "an empty list"
"""What a project sees where all is another's."""

CALL = {"model": STUDENT, "messages": prompt("refund")}
CHECK = {"type": "string_check", "name": "same", "input": "a", "reference": "a", "operation": "eq"}
EVAL = {
    "data_source_config": {"type": "custom", "item_schema": {}, "include_sample_schema": True},
    "testing_criteria": [CHECK],
}
RUN = {"data_source": {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {}}]}}}
UPLOAD = {"filename": "a.bin", "bytes": 3, "mime_type": "text/plain", "purpose": "user_data"}
FORM = {"file": ("a.bin", b"abc")}


@dataclass(frozen=True)
class Row:
    """What a route takes, and what it answers to its own project and to another."""

    scope: Scope | None
    own: int = 200
    foreign: int | str = 404
    body: Mapping | None = None
    files: Mapping | None = None
    form: Mapping | None = None
    which: int = 0
    """Of several things of a kind, which one the path names."""


READ, TRAIN, INFER = Scope.READ, Scope.TRAIN, Scope.INFER
STORED, FILE, UPLOADED = "/v1/chat/completions/{completion_id}", "/v1/files/{file_id}", "/v1/uploads/{upload_id}"
ONE_EVAL, ONE_RUN = "/v1/evals/{eval_id}", "/v1/evals/{eval_id}/runs/{run_id}"
JOB, GRADER, MODEL = "/v1/fine_tuning/jobs/{job_id}", "/v1/fine_tuning/alpha/graders", "/v1/models/{model:path}"

ROUTES = {
    ("GET", "/healthz"): Row(None),
    ("GET", "/openapi.json"): Row(None),
    ("GET", "/evals/{eval_id}/runs/{run_id}"): Row(None),
    ("GET", "/metrics"): Row(READ, foreign=200),
    ("POST", "/v1/chat/completions"): Row(INFER, foreign=200, body=CALL),
    ("GET", "/v1/chat/completions"): Row(READ, foreign=EMPTY),
    ("GET", STORED): Row(READ),
    ("GET", f"{STORED}/messages"): Row(READ),
    ("POST", STORED): Row(TRAIN, body={"metadata": {}}),
    ("POST", "/v1/files"): Row(TRAIN, foreign=200, files=FORM, form={"purpose": "user_data"}),
    ("GET", "/v1/files"): Row(READ, foreign=EMPTY),
    ("GET", FILE): Row(READ),
    ("GET", f"{FILE}/content"): Row(READ),
    ("POST", "/v1/uploads"): Row(TRAIN, foreign=200, body=UPLOAD),
    ("POST", f"{UPLOADED}/parts"): Row(TRAIN, files={"data": ("data", b"more")}),
    ("POST", f"{UPLOADED}/complete"): Row(TRAIN, body={"part_ids": ["PartId"]}),
    ("POST", f"{UPLOADED}/cancel"): Row(TRAIN, which=1),
    ("POST", "/v1/evals"): Row(TRAIN, own=201, foreign=201, body=EVAL),
    ("GET", "/v1/evals"): Row(READ, foreign=EMPTY),
    ("GET", ONE_EVAL): Row(READ),
    ("POST", ONE_EVAL): Row(TRAIN, body={"name": "other"}),
    ("POST", f"{ONE_EVAL}/runs"): Row(TRAIN, own=201, body=RUN),
    ("GET", f"{ONE_EVAL}/runs"): Row(READ),
    ("GET", ONE_RUN): Row(READ),
    ("GET", f"{ONE_RUN}/output_items"): Row(READ),
    ("GET", f"{ONE_RUN}/output_items/{{item_id}}"): Row(READ),
    ("POST", ONE_RUN): Row(TRAIN, which=-1),
    ("POST", f"{ONE_RUN}/cancel"): Row(TRAIN, which=-1),
    ("POST", f"{GRADER}/run"): Row(TRAIN, foreign=200, body={"grader": CHECK, "model_sample": "a"}),
    ("POST", f"{GRADER}/validate"): Row(TRAIN, foreign=200, body={"grader": CHECK}),
    ("POST", "/v1/fine_tuning/jobs"): Row(
        TRAIN, foreign=400, body={"model": "stillhouse/auto", "training_file": "FileId"}
    ),
    ("GET", "/v1/fine_tuning/jobs"): Row(READ, foreign=EMPTY),
    ("GET", JOB): Row(READ),
    ("GET", f"{JOB}/events"): Row(READ),
    ("GET", f"{JOB}/checkpoints"): Row(READ),
    ("POST", f"{JOB}/resume"): Row(TRAIN),
    ("POST", f"{JOB}/pause"): Row(TRAIN),
    ("POST", f"{JOB}/cancel"): Row(TRAIN),
    ("POST", "/v1/distillations"): Row(TRAIN, foreign=400, body={"stored_completions": {"model": STUDENT}}),
    ("GET", "/v1/models"): Row(INFER, foreign=200),
    ("GET", MODEL): Row(INFER),
    ("DELETE", MODEL): Row(TRAIN),
    ("POST", "/v1/feedback"): Row(INFER, body={"completion_id": "CompletionId", "rating": "up"}),
    ("GET", "/v1/feedback"): Row(READ, foreign=EMPTY),
    ("GET", "/v1/feedback/{feedback_id}"): Row(READ),
    ("DELETE", "/v1/feedback/{feedback_id}"): Row(TRAIN),
    ("GET", "/v1/reviews"): Row(READ, foreign=EMPTY),
    ("GET", "/v1/reviews/{review_id}"): Row(READ),
    ("POST", "/v1/reviews/{review_id}"): Row(TRAIN, body={"verdict": "right"}),
    ("DELETE", STORED): Row(TRAIN),
    ("DELETE", FILE): Row(TRAIN, which=1),
    ("DELETE", ONE_RUN): Row(TRAIN),
    ("DELETE", ONE_EVAL): Row(TRAIN),
}
"""In an order in which each finds what it needs."""
GUARDED = {place: row for place, row in ROUTES.items() if row.scope is not None}


@pytest.fixture(scope="module")
def house(database, tmp_path_factory) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("home"), 2, database) as one:
        yield one


@pytest.fixture(scope="module")
def keys(house) -> dict[str, str]:
    """A key of each scope, one of another project, and those that open nothing any more."""

    async def make() -> dict[str, str]:
        store = await Store.open(house.database, house.home)
        try:
            made = {str(scope): (await store.keys.create(PROJECT, scope, [scope]))[1] for scope in Scope}
            made["foreign"] = (await store.keys.create("other", "foreign", list(Scope)))[1]
            made["expired"] = (await store.keys.create(PROJECT, "expired", list(Scope), expires=5))[1]
            made["revoked"] = (await store.keys.create(PROJECT, "revoked", list(Scope)))[1]
            await store.keys.revoke("revoked")
            return made
        finally:
            await store.close()

    return asyncio.run(make())


def ask(
    house: Furnished, place: tuple[str, str], key: str | None, headers: Mapping[str, str] | None = None
) -> requests.Response:
    """What is answered to a request that is right in all but perhaps its key."""
    (method, path), row = place, ROUTES[place]

    def named(kind: str) -> str:
        return house.ids[kind][row.which]

    def filled(value: object) -> object:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return named(str(value)) if str(value) in house.ids else value

    place_of = {"model": TUNED}
    address = re.sub(r"{(\w+)(?::path)?}", lambda found: place_of.get(found[1]) or named(NAMED[found[1]]), path)
    sent = {"Authorization": f"Bearer {key}"} if key else {}
    return requests.request(
        method,
        house.url + address,
        params={"key": named("RunKey")} if path.startswith("/evals") else None,
        headers={**sent, **(headers or {})},
        json=filled(row.body) if row.body is not None else None,
        files=row.files,
        data=row.form,
        timeout=30,
    )


def refusal(answer: requests.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["code"]


def test_the_table_holds_every_route_with_its_scope(house):
    assert house.gate.declared == {place: row.scope for place, row in ROUTES.items()}


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_route_lets_in_who_has_no_key(house, keys, place):
    for key in (None, "sk-sh-" + "x" * 43, keys["expired"], keys["revoked"]):
        assert refusal(ask(house, place, key)) == (401, "invalid_api_key")
    assert refusal(ask(house, place, keys["admin"], {"OpenAI-Project": "other"})) == (401, "mismatched_project")


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_scope_stands_for_another(house, keys, place):
    for scope in set(Scope) - {GUARDED[place].scope, Scope.ADMIN}:
        assert refusal(ask(house, place, keys[scope])) == (403, "missing_scope")


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_no_project_reaches_what_is_another_s(house, keys, place):
    answer, expected = ask(house, place, keys["foreign"]), GUARDED[place].foreign
    if expected != EMPTY:
        assert answer.status_code == expected, answer.text
        assert TUNED not in answer.text or answer.status_code == 404
        return
    mine = {one for ids in house.ids.values() for one in ids}
    assert answer.status_code == 200
    assert not {one["id"] for one in answer.json()["data"]} & mine  # only what the other project made itself


@pytest.mark.parametrize("place", ROUTES, ids=" ".join)
def test_its_own_scope_is_enough(house, keys, place):
    """Last in this file: what nobody else could delete is deleted here."""
    scope = ROUTES[place].scope
    answer = ask(house, place, None if scope is None else keys[scope])
    assert answer.status_code == ROUTES[place].own, answer.text


def test_the_page_of_a_run_takes_the_key_of_that_run_alone(house):
    eval_id, run_id = house.ids["EvalId"][1], house.ids["RunId"][1]
    page = f"{house.url}/evals/{eval_id}/runs/{run_id}"
    for wrong in ("", house.ids["RunKey"][0], house.key):
        assert requests.get(page, {"key": wrong}, timeout=30).status_code == 404
    assert requests.get(page, {"key": house.ids["RunKey"][1]}, timeout=30).status_code == 200
