"""`GET /v1/models` and `/v1/models/{id}`: what is served here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate
from stillhouse.gateway.faults import JSON
from stillhouse.storage.records import Scope
from stillhouse.wire.errors import unknown_model
from stillhouse.wire.models import ModelCard, write_model, write_models

__all__ = ["Models"]


@final
class Models:
    """Tells which models are served here."""

    def __init__(self, cards: Mapping[str, ModelCard]) -> None:
        self._cards = cards

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found; a model's name may hold slashes."""
        return [
            gate.route("/v1/models", self.list, Scope.INFER),
            gate.route("/v1/models/{model:path}", self.retrieve, Scope.INFER),
        ]

    async def list(self, request: Request) -> Response:
        """All models."""
        return Response(write_models(self._cards.values()), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One model, by its name."""
        name = request.path_params["model"]
        if name not in self._cards:
            raise unknown_model(name)
        return Response(write_model(self._cards[name]), media_type=JSON)
