"""`/v1/evals/{eval_id}/runs/{run_id}/output_items`: what became of each row of a run, listed and shown."""

from __future__ import annotations

from typing import cast, final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.paging import read_choice, read_cut, unknown_cursor
from stillhouse.gateway.routes.eval_runs import find_run
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.eval_records import ItemStatus
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope
from stillhouse.wire.errors import not_found
from stillhouse.wire.pages import write_rows

__all__ = ["OutputItems"]

STATUSES = {"pass": "pass", "fail": "fail", "failed": "fail", "error": "error"}
"""What the items of a page may be; `failed` is what OpenAI's documentation calls `fail`."""


@final
class OutputItems:
    """Shows the rows of runs that are done."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        items = "/v1/evals/{eval_id}/runs/{run_id}/output_items"
        return [
            gate.route(items, self.list, Scope.READ),
            gate.route(f"{items}/{{item_id}}", self.retrieve, Scope.READ),
        ]

    async def list(self, request: Request) -> Response:
        """A page in the order of the rows, of all or of one status."""
        asked = read_cut(request.query_params, ascending=True)
        named = read_choice(request.query_params, "status", tuple(STATUSES))
        status = cast("ItemStatus | None", STATUSES[named] if named else None)
        run = await find_run(self._shelf, request)
        store = await self._shelf.open()
        page = await store.eval_items.page(run.id, asked, status)
        if page is None:
            raise unknown_cursor(asked.after or "")
        return Response(write_rows([(row.id, row.content) for row in page.rows], page.has_more), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id."""
        item_id: str = request.path_params["item_id"]
        run = await find_run(self._shelf, request)
        store = await self._shelf.open()
        found = await store.eval_items.get(run.id, item_id) if is_id(item_id) else None
        if found is None:
            raise not_found("Output item", item_id, "output_item_id")
        return Response(found.content, media_type=JSON)
