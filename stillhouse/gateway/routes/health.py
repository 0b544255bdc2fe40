"""`GET /healthz` and `/metrics`: for those who watch over the server."""

from __future__ import annotations

from typing import final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.house import House
from stillhouse.storage.records import Scope

__all__ = ["Health"]


@final
class Health:
    """Says that the server is up, with which models, and what it has counted."""

    def __init__(self, house: House) -> None:
        self._answer = orjson.dumps({"status": "ok", "models": house.names})
        self._metrics = house.metrics

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [gate.route("/healthz", self.healthz, None), gate.route("/metrics", self.metrics, Scope.READ)]

    async def healthz(self, request: Request) -> Response:
        """Up, with these models."""
        return Response(self._answer, media_type=JSON)

    async def metrics(self, request: Request) -> Response:
        """The counters, as Prometheus reads them."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
