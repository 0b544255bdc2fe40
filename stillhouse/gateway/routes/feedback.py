"""`/v1/feedback`: what people say of stored completions: kept, listed, shown and deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.capture import said_as_kept
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.paging import read_cut, unknown_cursor
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.ids import is_id, new_id
from stillhouse.storage.records import Scope, StoredCompletion
from stillhouse.wire.errors import WireError, not_found
from stillhouse.wire.feedback import read_feedback, write_deleted_feedback, write_feedback, write_feedback_list
from stillhouse.wire.stored_completions import unknown_completion

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Feedback"]


@final
class Feedback:
    """Keeps what clients say."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        all_of_it, one = "/v1/feedback", "/v1/feedback/{feedback_id}"
        return [
            gate.route(all_of_it, self.create, Scope.INFER, "POST"),
            gate.route(all_of_it, self.list, Scope.READ),
            gate.route(one, self.retrieve, Scope.READ),
            gate.route(one, self.delete, Scope.TRAIN, "DELETE"),
        ]

    async def create(self, request: Request) -> Response:
        """One on a stored completion; more than one may be said of it."""
        asked, project = read_feedback(await read_body(request)), project_of(request)
        store = await self._shelf.open()
        call = await _call(store, project, asked.completion, "completion_id")
        content = dict(await said_as_kept(self._shelf.policy, project, asked.content))
        if asked.rejected_completion is not None:
            other = await _call(store, project, asked.rejected_completion, "rejected_completion_id")
            if orjson.loads(other.messages) != orjson.loads(call.messages):
                words = "Invalid 'rejected_completion_id': that completion answers another question."
                raise WireError(words, "invalid_value", "rejected_completion_id")
            content |= {"rejected": _answer(other), "rejected_model": other.model}  # whose terms hold as well
        kept = StoredFeedback(new_id("fb_"), int(time.time()), call.id, orjson.dumps(content), call.subject)
        await store.feedback.add(project, kept)
        return _shown(kept)

    async def list(self, request: Request) -> Response:
        """A page of all, or of what was said of one completion (`completion_id`)."""
        asked, completion = read_cut(request.query_params), request.query_params.get("completion_id") or None
        store = await self._shelf.open()
        page = await store.feedback.page(project_of(request), asked, completion)
        if page is None:
            raise unknown_cursor(asked.after or "")
        rows = [(row.id, row.created, row.completion, row.content) for row in page.rows]
        return Response(write_feedback_list(rows, page.has_more), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id."""
        feedback_id: str = request.path_params["feedback_id"]
        store = await self._shelf.open()
        found = await store.feedback.get(project_of(request), feedback_id) if is_id(feedback_id) else None
        if found is None:
            raise not_found("Feedback", feedback_id, "feedback_id")
        return _shown(found)

    async def delete(self, request: Request) -> Response:
        """One no longer."""
        feedback_id: str = request.path_params["feedback_id"]
        store = await self._shelf.open()
        if not (is_id(feedback_id) and await store.feedback.delete(project_of(request), feedback_id)):
            raise not_found("Feedback", feedback_id, "feedback_id")
        return Response(write_deleted_feedback(feedback_id), media_type=JSON)


async def _call(store: Store, project: str, completion_id: str, param: str) -> StoredCompletion:
    found = await store.completions.get(project, completion_id) if is_id(completion_id) else None
    if found is None:
        error = unknown_completion(completion_id[:80])
        raise WireError(f"{error}. Feedback is kept on stored completions.", error.code, param, error.status)
    return found


def _answer(call: StoredCompletion) -> dict[str, Any]:
    """The first answer of a stored completion, as a message."""
    told: dict[str, Any] = orjson.loads(call.answer)
    choices: list[dict[str, Any]] = told.get("choices") or []
    message: dict[str, Any] = (choices[0].get("message") or {}) if choices else {}
    kept = {key: message[key] for key in ("content", "tool_calls", "refusal") if message.get(key) is not None}
    return {"role": "assistant", "content": None, **kept}


def _shown(found: StoredFeedback) -> Response:
    return Response(write_feedback(found.id, found.created, found.completion, found.content), media_type=JSON)
