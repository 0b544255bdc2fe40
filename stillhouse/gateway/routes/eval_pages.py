"""`/evals/{eval_id}/runs/{run_id}`: the page of a run, for whoever has its address with the key in it."""

from __future__ import annotations

import asyncio
import secrets
from importlib import import_module
from typing import final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from stillhouse.evaluation.kept import restored
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.eval_records import StoredItem
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Cut
from stillhouse.wire.errors import not_found

__all__ = ["EvalPages"]

MOST = 50
"""Items that are shown of those that failed, and of those that errored."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
"""Nothing is loaded or run by the page, and its address is told to nobody."""


@final
class EvalPages:
    """Shows runs to people. The key in a run's `report_url` opens its page alone, and no other door."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [gate.route("/evals/{eval_id}/runs/{run_id}", self.show, None)]

    async def show(self, request: Request) -> Response:
        """The page; without the right key there is none."""
        run_id, key = request.path_params["run_id"], request.query_params.get("key", "")
        store = await self._shelf.open()
        found = await store.eval_runs.find(run_id) if is_id(run_id) else None
        if found is None or found[1].eval_id != request.path_params["eval_id"] or not _opens(key, found[1].token):
            raise not_found("Eval run", run_id, "run_id")
        project, run = found
        of = await store.evals.get(project, run.eval_id)
        if of is None:
            raise not_found("Eval", run.eval_id, "eval_id")
        items: list[StoredItem] = []
        for status in ("fail", "error"):
            page = await store.eval_items.page(run.id, Cut(MOST, ascending=True), status)
            items.extend(page.rows if page else ())
        items.sort(key=lambda item: item.row)
        reports = await asyncio.to_thread(import_module, "stillhouse.reports.eval_page")
        content = await asyncio.to_thread(reports.render_run, restored(of), run, items)
        return HTMLResponse(content, headers=HEADERS)


def _opens(key: str, token: str) -> bool:
    return secrets.compare_digest(key.encode("utf-8", "surrogatepass"), token.encode())
