"""Every failure as OpenAI's error envelope: clients never see a traceback."""

from __future__ import annotations

import logging
import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ExceptionHandler

from stillhouse.errors import (
    ModelFailed,
    OnHold,
    StillhouseError,
    StorageBusy,
    StorageError,
    StorageFull,
    TeacherError,
    TeacherUnavailable,
    VaultLocked,
)
from stillhouse.wire.errors import WireError, write_error

__all__ = ["JSON", "NOT_KEPT", "handlers", "refused"]

JSON = "application/json"
NOT_KEPT = "The server could not read or keep what was asked for; its log says why."

LOCKED = "What was asked for is encrypted, and the server has no key for it; its log says why."


def handlers() -> dict[int | type[Exception], ExceptionHandler]:
    """What answers each kind of failure; the last one's traceback goes to the server's log."""
    return {HTTPException: _wrong_address, StillhouseError: _refusal, Exception: _fault}


async def refused(request: Request, error: HTTPException | StillhouseError) -> Response:
    """What answers a call that was refused, for who must see it before it goes."""
    return await (_wrong_address if isinstance(error, HTTPException) else _refusal)(request, error)


async def _wrong_address(request: Request, error: Exception) -> Response:
    """There is nothing at this URL, or not by this method, or its body is too large."""
    assert isinstance(error, HTTPException)
    headers = error.headers
    match error.status_code:
        case 404:
            message = f"Invalid URL ({request.method} {request.url.path})"
        case 405:
            message = f"Not allowed to {request.method} on {request.url.path}."
            headers = {"allow": ", ".join(sorted(_methods(request)))}
        case _:
            message = error.detail
    return Response(write_error(message, error.status_code), error.status_code, headers, JSON)


def _methods(request: Request) -> set[str]:
    """What may be done at a URL; there is a route for each method."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    there = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in there for method in route.methods or ()}


async def _refusal(request: Request, error: Exception) -> Response:
    """An error that we raised on purpose; the one that a teacher answered with is passed on as it came."""
    headers: dict[str, str] = {}
    match error:
        case StorageBusy():
            status, headers = 429, {"retry-after": "1"}
            content = write_error(str(error), status, "storage_busy")
        case StorageFull():
            logging.getLogger("stillhouse.gateway").error("%s", error)
            status, content = 507, write_error("The server's disk is full: nothing was kept.", 507, "disk_full")
            headers = {"x-should-retry": "false"}
        case OnHold():
            status, content = 409, write_error(str(error), 409, "on_hold")
            headers = {"x-should-retry": "false"}
        case VaultLocked():
            logging.getLogger("stillhouse.gateway").error("%s", error)
            status, content = 503, write_error(LOCKED, 503, "vault_locked")
            headers = {"x-should-retry": "false"}
        case StorageError():
            logging.getLogger("stillhouse.gateway").error("%s", error)
            status, content = 500, write_error(NOT_KEPT, 500, "storage_error")
        case WireError(status=status, code=code, param=param):
            headers = {"retry-after": "1"} if status in (409, 429, 503) else {}
            content = write_error(str(error), status, code, param)
        case TeacherError():
            status, content, headers = _teacher_s(error)
        case ModelFailed():
            status, content = 500, write_error(str(error), 500, "model_failed")
        case _:
            status, content = 500, write_error(str(error), 500, "internal_error")
    return Response(content, status, headers, JSON)


def _teacher_s(error: TeacherError) -> tuple[int, bytes, dict[str, str]]:
    """What a teacher's failure becomes: status, body and headers.

    Refusals and overload are passed on as they came, with the time to wait: clients know what to do about them. Any
    other trouble is ours to tell, because the teacher's words about itself say nothing to whoever asked us.
    """
    headers = {} if error.retry_after is None else {"retry-after": f"{math.ceil(error.retry_after)}"}
    is_ours = isinstance(error, TeacherUnavailable) and error.status not in (429, 503)
    if is_ours or error.status is None:
        return 502, write_error(str(error), 502, "teacher_unavailable"), headers
    if error.body.lstrip()[:1] == b"{":
        return error.status, error.body, headers
    code = "teacher_unavailable" if isinstance(error, TeacherUnavailable) else "teacher_refused"
    return error.status, write_error(str(error), error.status, code), headers


async def _fault(request: Request, error: Exception) -> Response:
    return Response(
        write_error("The server had an error while answering.", 500, "internal_error"), 500, media_type=JSON
    )
