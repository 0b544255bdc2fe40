"""The error envelope, and the errors whose words and codes OpenAI's clients expect."""

from __future__ import annotations

import orjson

from stillhouse.errors import StillhouseError

__all__ = ["Overloaded", "Unsupported", "WireError", "unknown_model", "write_error"]


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

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} calls are waiting already. Try again later.", "overloaded", status=503)


def unknown_model(name: str) -> WireError:
    """The error for a model that is not served here."""
    return WireError(f"The model '{name}' does not exist", "model_not_found", "model", 404)


def write_error(message: str, status: int, code: str | None = None, param: str | None = None) -> bytes:
    """The JSON envelope of an error: the caller's fault below status 500, the server's from there on."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
