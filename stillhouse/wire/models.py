"""The JSON of the models a server has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson

__all__ = ["ModelCard", "read_models", "write_deleted_model", "write_model", "write_models"]

MOST = 1_000
"""Models of another server that are read."""


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


def write_deleted_model(name: str) -> bytes:
    """The JSON of a model that was deleted."""
    return orjson.dumps({"id": name, "object": "model", "deleted": True})


def read_models(content: bytes) -> list[str]:
    """The names in another server's list of models, at most a thousand; none when it is no such list."""
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError:
        return []
    rows = cast(dict[str, Any], told).get("data") if isinstance(told, dict) else None
    if not isinstance(rows, list):
        return []
    names = [cast(dict[str, Any], row).get("id") for row in cast(list[Any], rows)[:MOST] if isinstance(row, dict)]
    return [name for name in names if isinstance(name, str) and name]


def _fields(card: ModelCard) -> dict[str, object]:
    return {"id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by}
