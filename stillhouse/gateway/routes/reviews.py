"""`/v1/reviews`: items of datasets that a person should look at, those worth most first; and what was said of them."""

from __future__ import annotations

from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.data.review import settled
from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.capture import said_as_kept
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.paging import read_choice, read_cut
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.feedback_records import ReviewState, StoredReview
from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Scope
from stillhouse.wire.errors import not_found
from stillhouse.wire.feedback import STATES, read_verdict, write_review, write_review_list

__all__ = ["Reviews"]


@final
class Reviews:
    """The queue of those who look at items."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [
            gate.route("/v1/reviews", self.list, Scope.READ),
            gate.route("/v1/reviews/{review_id}", self.retrieve, Scope.READ),
            gate.route("/v1/reviews/{review_id}", self.answer, Scope.TRAIN, "POST"),
        ]

    async def list(self, request: Request) -> Response:
        """The first of those that wait, or are in another `status`."""
        state = ReviewState(read_choice(request.query_params, "status", STATES) or ReviewState.WAITING)
        limit, project = read_cut(request.query_params).limit, project_of(request)
        store = await self._shelf.open()
        found = await store.reviews.list(project, state, limit)
        rows = [(row.id, row.created, row.state.value, row.worth, row.content) for row in found]
        return Response(write_review_list(rows, await store.reviews.counts(project)), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, by its id."""
        return _shown(await self._find(request))

    async def answer(self, request: Request) -> Response:
        """What somebody says of one; said again, the last words count."""
        verdict, project = read_verdict(await read_body(request)), project_of(request)
        said = await said_as_kept(self._shelf.policy, project, verdict.content)
        found = settled(await self._find(request), said, verdict.skips)
        store = await self._shelf.open()
        await store.reviews.settle(project, found)
        return _shown(found)

    async def _find(self, request: Request) -> StoredReview:
        review_id: str = request.path_params["review_id"]
        store = await self._shelf.open()
        found = await store.reviews.get(project_of(request), review_id) if is_id(review_id) else None
        if found is None:
            raise not_found("Review", review_id, "review_id")
        return found


def _shown(found: StoredReview) -> Response:
    content = write_review(found.id, found.created, found.state.value, found.worth, found.content)
    return Response(content, media_type=JSON)
