"""The JSON of the models a server has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

__all__ = ["ModelCard", "write_model", "write_models"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as clients see it; `created` is in Unix seconds."""

    id: str
    created: int
    owned_by: str = "stillhouse"


def write_model(card: ModelCard) -> bytes:
    """The JSON of one model."""
    return orjson.dumps(_fields(card))


def write_models(cards: Iterable[ModelCard]) -> bytes:
    """The JSON list of models; it is never paged."""
    return orjson.dumps({"object": "list", "data": [_fields(card) for card in cards]})


def _fields(card: ModelCard) -> dict[str, object]:
    return {"id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by}
