"""Who may do what: every route says which scope it takes, and the gate asks callers for a key that has it."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from typing import final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.errors import StorageError
from stillhouse.gateway.repeats import KEY, Endpoint, Repeats
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.records import ApiKey, Scope
from stillhouse.wire.errors import WireError

__all__ = ["PROJECT", "Gate", "actor_of", "project_of"]

PROJECT = "default"
"""Whose calls are, where nobody has to say who they are."""

ANYBODY = "anybody"
"""Who asks, as the audit log names them, where nobody has to say."""

FRESH = 0.5
"""Seconds for which a key is believed without a look into the database: a revoked one ends so soon."""

REMEMBERED = 10_000
"""Keys that are believed at the same time."""

NOTED = 60
"""Seconds between two notes of when a key was used last."""

PLACE = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]@/]+))(?::\d+)?")
"""A host with or without its port: an IPv6 address in brackets, or anything else."""


@final
class Gate:
    """Lets callers with a valid key through, each into its own project; without a shelf of keys, everybody."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf
        self._believed: dict[str, tuple[ApiKey, float]] = {}
        self.declared: dict[tuple[str, str], Scope | None] = {}
        """The scope that each method and path takes; None where there is nothing to guard."""
        self.repeats: Repeats | None = None
        """What answers a POST with an idempotency key; None where nothing is kept."""

    def route(self, path: str, endpoint: Endpoint, scope: Scope | None, method: str = "GET") -> Route:
        """A route that is taken by callers with a scope."""
        self.declared[method, path] = scope
        posts = method == "POST"

        async def guarded(request: Request) -> Response:
            if scope is None:
                return await endpoint(request)
            project, actor = await self._caller(request, scope)
            request.scope.update(project=project, actor=actor)
            if posts and self.repeats and KEY in request.headers:
                return await self.repeats.answer(request, project, endpoint)
            return await endpoint(request)

        return Route(path, guarded, methods=[method])

    async def _caller(self, request: Request, scope: Scope) -> tuple[str, str]:
        """The project of the caller's key, and who that is for the audit log.

        Raises WireError with 401 without a valid key, 403 without the scope.
        """
        if self._shelf is None:
            _refuse_strangers(request)
            return PROJECT, ANYBODY
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret:
            raise WireError("You did not provide an API key: send it as a Bearer token.", "invalid_api_key", status=401)
        key = await self._find(self._shelf, secret)
        if key is None or not key.opens(time.time()):
            raise WireError(f"Incorrect API key provided: {_masked(secret)}.", "invalid_api_key", status=401)
        if not key.allows(scope):
            raise WireError(f"This API key may not do that: it lacks the scope '{scope}'.", "missing_scope", status=403)
        if request.headers.get("openai-project", key.project) != key.project:
            words = "The OpenAI-Project header names another project than that of the API key."
            raise WireError(words, "mismatched_project", status=401)
        return key.project, f"key:{key.id}"

    async def _find(self, shelf: Shelf, secret: str) -> ApiKey | None:
        believed = self._believed.get(secret)
        if believed and time.monotonic() < believed[1]:
            return believed[0]
        store = await shelf.open()
        key, now = await store.keys.find(secret), time.time()
        if key is None:
            self._believed.pop(secret, None)
            return None
        if len(self._believed) >= REMEMBERED:
            self._believed.clear()
        self._believed[secret] = key, time.monotonic() + FRESH
        if key.opens(now) and now - (key.used or 0) >= NOTED:
            try:
                await store.keys.touch(key, now)
            except StorageError as error:
                logging.getLogger("stillhouse.gateway").warning("It was not noted that a key was used. %s", error)
        return key


def project_of(request: Request) -> str:
    """The project that a request has been let into."""
    return request.scope["project"]


def actor_of(request: Request) -> str:
    """Who asks, as the audit log names them."""
    return request.scope["actor"]


def _masked(secret: str) -> str:
    return f"{secret[: min(6, len(secret) // 4)]}***"


def _refuse_strangers(request: Request) -> None:
    """Raise WireError when a web page asks: where no key is needed, only programs on this machine may.

    A page can make a browser call this machine, under its own name if it rules the name's addresses, and tells so in
    one of two headers.
    """
    for name in ("host", "origin"):
        told = request.headers.get(name)
        if told is not None and not _is_here(told.rpartition("//")[2], request):
            words = f"Without API keys only this machine is answered, and the header '{name}' says {told[:80]!r}."
            raise WireError(f"{words} Start the server with --auth.", "wrong_host", status=403)


def _is_here(place: str, request: Request) -> bool:
    """Whether a host, with or without its port, is this machine."""
    found = PLACE.fullmatch(place)
    if found is None:
        return False
    name, server = (found[1] or found[2]).lower(), request.scope.get("server")
    if name == "localhost" or (server and name == server[0]):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
