"""`GET /openapi.json`: what can be asked here, for programs that read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate
from stillhouse.gateway.document import document
from stillhouse.gateway.faults import JSON
from stillhouse.storage.records import Scope

__all__ = ["OpenApi"]


@final
class OpenApi:
    """Tells of every route that is declared."""

    def __init__(self, declared: Mapping[tuple[str, str], Scope | None]) -> None:
        """`declared` are the scopes by method and path; what is declared until the first call is told of."""
        self._declared = declared
        self._written: bytes | None = None

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [gate.route("/openapi.json", self.show, None)]

    async def show(self, request: Request) -> Response:
        """The document."""
        if self._written is None:
            self._written = orjson.dumps(document(self._declared))
        return Response(self._written, media_type=JSON)
