"""The error envelope, and the errors whose words and codes OpenAI's clients expect."""

from __future__ import annotations

from typing import Any

import orjson

from stillhouse.errors import StillhouseError

__all__ = ["Overloaded", "Unsupported", "WireError", "not_found", "read_error", "unknown_model", "write_error"]


class WireError(StillhouseError):
    """A request that cannot be answered; `param` is the JSON path of what is wrong with it."""

    def __init__(self, message: str, code: str | None, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.param, self.status = code, param, status


class Unsupported(WireError):
    """The request is right, but asks for something this model does not do."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message, "unsupported_feature", param)


class Overloaded(WireError):
    """Too many calls are waiting already."""

    def __init__(self, waiting: int, status: int = 503) -> None:
        super().__init__(f"{waiting} calls are waiting already. Try again later.", "overloaded", status=status)


def unknown_model(name: str) -> WireError:
    """The error for a model that is not served here."""
    return WireError(f"The model '{name}' does not exist", "model_not_found", "model", 404)


def not_found(what: str, object_id: str, param: str) -> WireError:
    """The error for something that is not here, such as an eval; `param` is the part of the path that names it."""
    return WireError(f"{what} {object_id[:80]} not found", "not_found", param, 404)


def read_error(body: bytes) -> tuple[str, str | None] | None:
    """The words and the code in an error's JSON envelope, None when it is none."""
    try:
        told: Any = orjson.loads(body)
        words, code = told["error"]["message"], told["error"].get("code")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return (words, code if isinstance(code, str) else None) if isinstance(words, str) else None


def write_error(message: str, status: int, code: str | None = None, param: str | None = None) -> bytes:
    """The JSON envelope of an error: the caller's fault below status 500, the server's from there on."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
