"""`/v1/chat/completions` once more: stored completions listed, read, given other metadata, and deleted."""

from __future__ import annotations

from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate, actor_of, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.paging import read_cut, read_filters, unknown_cursor
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope, StoredCompletion, Wanted
from stillhouse.wire.stored_completions import (
    read_update,
    stored_messages,
    unknown_completion,
    write_deleted,
    write_list,
    write_messages,
    write_stored,
)

__all__ = ["StoredCompletions"]


@final
class StoredCompletions:
    """Shows what was stored."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        all_of_them, one = "/v1/chat/completions", "/v1/chat/completions/{completion_id}"
        return [
            gate.route(all_of_them, self.list, Scope.READ),
            gate.route(one, self.retrieve, Scope.READ),
            gate.route(one, self.update, Scope.TRAIN, "POST"),
            gate.route(one, self.delete, Scope.TRAIN, "DELETE"),
            gate.route(f"{one}/messages", self.messages, Scope.READ),
        ]

    async def list(self, request: Request) -> Response:
        """A page of those that have a model (asked for or answered by) and all the metadata that are named."""
        asked = read_cut(request.query_params)
        wanted = Wanted(request.query_params.get("model") or None, read_filters(request.query_params))
        store = await self._shelf.open()
        page = await store.completions.page(project_of(request), wanted, asked)
        if page is None:
            raise unknown_cursor(asked.after or "")
        content = write_list([(row.id, row.answer, row.metadata) for row in page.rows], page.has_more)
        return Response(content, media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id."""
        return _shown(await self._find(request))

    async def update(self, request: Request) -> Response:
        """One, with other metadata in place of all it had."""
        completion_id, metadata = _id(request), read_update(await read_body(request))
        store = await self._shelf.open()
        project, actor = project_of(request), actor_of(request)
        changed = await store.completions.replace_metadata(project, completion_id, metadata, actor)
        return _shown(_there(changed, completion_id))

    async def delete(self, request: Request) -> Response:
        """One no longer."""
        completion_id = _id(request)
        store = await self._shelf.open()
        if not await store.completions.delete(project_of(request), completion_id, actor_of(request)):
            raise unknown_completion(completion_id)
        return Response(write_deleted(completion_id), media_type=JSON)

    async def messages(self, request: Request) -> Response:
        """A page of the messages that one was asked; the answer is not among them."""
        asked = read_cut(request.query_params, ascending=True)
        found = await self._find(request)
        messages = stored_messages(found.id, found.messages)
        if not asked.ascending:
            messages.reverse()
        if asked.after is not None:
            ids = [message["id"] for message in messages]
            if asked.after not in ids:
                raise unknown_cursor(asked.after)
            messages = messages[ids.index(asked.after) + 1 :]
        page = messages[: asked.limit]
        return Response(write_messages(page, has_more=len(messages) > len(page)), media_type=JSON)

    async def _find(self, request: Request) -> StoredCompletion:
        completion_id = _id(request)
        store = await self._shelf.open()
        return _there(await store.completions.get(project_of(request), completion_id), completion_id)


def _id(request: Request) -> str:
    completion_id: str = request.path_params["completion_id"]
    if not is_id(completion_id):
        raise unknown_completion(completion_id[:80])
    return completion_id


def _there(found: StoredCompletion | None, completion_id: str) -> StoredCompletion:
    if found is None:
        raise unknown_completion(completion_id)
    return found


def _shown(found: StoredCompletion) -> Response:
    return Response(write_stored(found.answer, found.metadata), media_type=JSON)
