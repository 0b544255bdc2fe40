"""`/v1/evals/{eval_id}/runs`: begun, listed, shown, cancelled and deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast, final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.evaluation.graders.check import check_run
from stillhouse.evaluation.kept import new_run, restored, show_run
from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.paging import read_choice, read_cut, unknown_cursor
from stillhouse.gateway.routes.evals import CREATED, find_eval
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.eval_records import RunStatus, StoredRun
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope
from stillhouse.wire.data_sources import FileId
from stillhouse.wire.errors import WireError, not_found
from stillhouse.wire.evals import read_run, write_run_deleted
from stillhouse.wire.fields import wrong_value
from stillhouse.wire.pages import write_page

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["EvalRuns", "find_run", "page_url", "report_url"]

STATUSES = ("queued", "in_progress", "completed", "failed", "canceled")


@final
class EvalRuns:
    """Keeps runs of evals, and has them carried out."""

    def __init__(self, shelf: Shelf, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` is called when there is a run to carry out."""
        self._shelf, self._wake = shelf, wake

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found; older clients cancel at the path of the run itself."""
        runs, one = "/v1/evals/{eval_id}/runs", "/v1/evals/{eval_id}/runs/{run_id}"
        return [
            gate.route(runs, self.create, Scope.TRAIN, "POST"),
            gate.route(runs, self.list, Scope.READ),
            gate.route(one, self.retrieve, Scope.READ),
            gate.route(one, self.cancel, Scope.TRAIN, "POST"),
            gate.route(f"{one}/cancel", self.cancel, Scope.TRAIN, "POST"),
            gate.route(one, self.delete, Scope.TRAIN, "DELETE"),
        ]

    async def create(self, request: Request) -> Response:
        """A new one, queued, whose rows fit the eval's schema and whose prompt can be filled in."""
        body = await read_body(request)
        of = await find_eval(self._shelf, request)
        config = restored(of).config
        asked = read_run(body, config)
        check_run(asked, config)
        made = new_run(asked, of, int(time.time()))
        store = await self._shelf.open()
        source = asked.source.source
        if isinstance(source, FileId) and not await _is_there(store, project_of(request), source.id):
            raise wrong_value("data_source.source.id", f"No such File object: {source.id[:80]}")
        if not await store.eval_runs.add(project_of(request), made):
            raise not_found("Eval", of.id, "eval_id")
        self._wake()
        return _shown(made, request, CREATED)

    async def list(self, request: Request) -> Response:
        """A page, oldest first unless told otherwise, of all or of one status."""
        asked = read_cut(request.query_params, ascending=True)
        status = cast("RunStatus | None", read_choice(request.query_params, "status", STATUSES))
        of = await find_eval(self._shelf, request)
        store = await self._shelf.open()
        page = await store.eval_runs.page(project_of(request), of.id, asked, status)
        if page is None:
            raise unknown_cursor(asked.after or "")
        shown = [show_run(row, report_url(row, request)) for row in page.rows]
        return Response(write_page(shown, page.has_more), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id, as far as it is."""
        return _shown(await find_run(self._shelf, request), request)

    async def cancel(self, request: Request) -> Response:
        """One that goes no further; what it has done stays. One that has been cancelled already stays as it is."""
        found = await find_run(self._shelf, request)
        store = await self._shelf.open()
        moved = await store.eval_runs.move(found.id, "canceled")
        now = await find_run(self._shelf, request)
        if not moved and now.status != "canceled":
            words = f"The run {now.id} is {now.status} already, and cannot be cancelled."
            raise WireError(words, "invalid_value", "run_id")
        return _shown(now, request)

    async def delete(self, request: Request) -> Response:
        """One no longer, nor its items; one in work stops."""
        eval_id, run_id = _ids(request)
        store = await self._shelf.open()
        if not await store.eval_runs.delete(project_of(request), eval_id, run_id):
            raise not_found("Eval run", run_id, "run_id")
        return Response(orjson.dumps(write_run_deleted(run_id)), media_type=JSON)


async def find_run(shelf: Shelf, request: Request) -> StoredRun:
    """The run that a path names, in the caller's project; raises WireError when there is none."""
    eval_id, run_id = _ids(request)
    store = await shelf.open()
    found = await store.eval_runs.get(project_of(request), eval_id, run_id)
    if found is None:
        raise not_found("Eval run", run_id, "run_id")
    return found


async def _is_there(store: Store, project: str, file_id: str) -> bool:
    return is_id(file_id) and await store.files.get(project, file_id) is not None


def report_url(run: StoredRun, request: Request) -> str:
    """Where a run can be looked at: its key opens that page alone."""
    return page_url(request, run.eval_id, run.id, run.token)


def page_url(request: Request, eval_id: str, run_id: str, token: str) -> str:
    """The address of a run's page."""
    return str(request.base_url.replace(path=f"/evals/{eval_id}/runs/{run_id}", query=f"key={token}"))


def _shown(run: StoredRun, request: Request, status: int = 200) -> Response:
    return Response(orjson.dumps(show_run(run, report_url(run, request))), status, media_type=JSON)


def _ids(request: Request) -> tuple[str, str]:
    eval_id: str = request.path_params["eval_id"]
    run_id: str = request.path_params["run_id"]
    if not (is_id(eval_id) and is_id(run_id)):
        raise not_found("Eval run", run_id, "run_id")
    return eval_id, run_id
