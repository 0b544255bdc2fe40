"""`/v1/models` and `/v1/models/{id}`: what is served here, and tuned models deleted."""

from __future__ import annotations

from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.house import House
from stillhouse.gateway.tuned import TunedModels
from stillhouse.storage.records import Scope
from stillhouse.wire.errors import WireError
from stillhouse.wire.models import write_deleted_model, write_model, write_models

__all__ = ["Models"]


@final
class Models:
    """Tells which models are served here, and deletes those that jobs made."""

    def __init__(self, house: House, tuned: TunedModels | None = None) -> None:
        self._house, self._tuned = house, tuned

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found; a model's name may hold slashes."""
        return [
            gate.route("/v1/models", self.list, Scope.INFER),
            gate.route("/v1/models/{model:path}", self.retrieve, Scope.INFER),
            gate.route("/v1/models/{model:path}", self.delete, Scope.TRAIN, "DELETE"),
        ]

    async def list(self, request: Request) -> Response:
        """All models."""
        return Response(write_models(await self._house.cards(project_of(request))), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One model, by its name."""
        answerer = await self._house.find(project_of(request), request.path_params["model"])
        return Response(write_model(answerer.card), media_type=JSON)

    async def delete(self, request: Request) -> Response:
        """A tuned model no longer; others stay, whoever asks."""
        project, name = project_of(request), request.path_params["model"]
        if self._tuned and await self._tuned.delete(project, name):
            return Response(write_deleted_model(name), media_type=JSON)
        await self._house.find(project, name)
        words = f"The model '{name}' was not made by fine-tuning, so it cannot be deleted here."
        raise WireError(words, "model_not_deletable", "model", 403)
