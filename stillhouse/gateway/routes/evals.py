"""`/v1/evals`: made, listed, shown, renamed and deleted."""

from __future__ import annotations

import time
from typing import final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.evaluation.graders.check import check_eval
from stillhouse.evaluation.kept import new_eval, show_eval
from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.judges import Judges
from stillhouse.gateway.paging import read_choice, read_cut, unknown_cursor
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.eval_records import StoredEval
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope
from stillhouse.wire.errors import not_found
from stillhouse.wire.evals import read_eval, read_eval_update, write_eval, write_eval_deleted
from stillhouse.wire.pages import write_page

__all__ = ["CREATED", "Evals", "find_eval"]

CREATED = 201
"""The status of what has been made."""


@final
class Evals:
    """Keeps evals."""

    def __init__(self, shelf: Shelf, judges: Judges) -> None:
        self._shelf, self._judges = shelf, judges

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        one = "/v1/evals/{eval_id}"
        return [
            gate.route("/v1/evals", self.create, Scope.TRAIN, "POST"),
            gate.route("/v1/evals", self.list, Scope.READ),
            gate.route(one, self.retrieve, Scope.READ),
            gate.route(one, self.update, Scope.TRAIN, "POST"),
            gate.route(one, self.delete, Scope.TRAIN, "DELETE"),
        ]

    async def create(self, request: Request) -> Response:
        """A new one, whose graders can all work here."""
        asked, project = read_eval(await read_body(request)), project_of(request)
        check_eval(asked, self._judges.means(project))
        made, kept = new_eval(asked, int(time.time()))
        store = await self._shelf.open()
        await store.evals.add(project, kept)
        return Response(orjson.dumps(write_eval(made)), CREATED, media_type=JSON)

    async def list(self, request: Request) -> Response:
        """A page, oldest first unless told otherwise, by when they were made or last changed."""
        asked = read_cut(request.query_params, ascending=True)
        by_update = read_choice(request.query_params, "order_by", ("created_at", "updated_at")) == "updated_at"
        store = await self._shelf.open()
        page = await store.evals.page(project_of(request), asked, by_update)
        if page is None:
            raise unknown_cursor(asked.after or "")
        return Response(write_page([show_eval(row) for row in page.rows], page.has_more), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id."""
        return Response(orjson.dumps(show_eval(await find_eval(self._shelf, request))), media_type=JSON)

    async def update(self, request: Request) -> Response:
        """One with another name, or other metadata in place of all it had."""
        eval_id = _id(request)
        name, metadata = read_eval_update(await read_body(request))
        store = await self._shelf.open()
        changed = await store.evals.change(project_of(request), eval_id, name, metadata)
        if changed is None:
            raise not_found("Eval", eval_id, "eval_id")
        return Response(orjson.dumps(show_eval(changed)), media_type=JSON)

    async def delete(self, request: Request) -> Response:
        """One no longer, nor any run of it; runs in work stop."""
        eval_id = _id(request)
        store = await self._shelf.open()
        if not await store.evals.delete(project_of(request), eval_id):
            raise not_found("Eval", eval_id, "eval_id")
        return Response(orjson.dumps(write_eval_deleted(eval_id)), media_type=JSON)


async def find_eval(shelf: Shelf, request: Request) -> StoredEval:
    """The eval that a path names, in the caller's project; raises WireError when there is none."""
    eval_id = _id(request)
    store = await shelf.open()
    found = await store.evals.get(project_of(request), eval_id)
    if found is None:
        raise not_found("Eval", eval_id, "eval_id")
    return found


def _id(request: Request) -> str:
    eval_id: str = request.path_params["eval_id"]
    if not is_id(eval_id):
        raise not_found("Eval", eval_id, "eval_id")
    return eval_id
