"""The gateway's own OpenAPI document: every route that is declared, with its scope and all that it may answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stillhouse import __version__
from stillhouse.gateway.repeats import KEY, LONGEST_KEY, REPLAYED
from stillhouse.storage.records import Scope
from stillhouse.wire.openapi import chat, evals, files, people, tuning
from stillhouse.wire.openapi.shapes import FORM, JSON, Operation, Schema, ref, shared, text

__all__ = ["NAMED", "document", "known_operations"]

SERVER = "Server"
REFUSALS = {
    400: ("WrongRequest", "The request is wrong; `param` says where."),
    401: ("NoKey", "There is no valid API key."),
    403: ("NotAllowed", "The key lacks the scope, or the caller is none that is answered."),
    404: ("NotFound", "There is no such thing in the key's project."),
    405: ("WrongMethod", "There is nothing to do at this address by this method."),
    408: ("TooSlow", "The request did not arrive in time."),
    409: (
        "Conflict",
        "A call with this `Idempotency-Key` is being answered; `Retry-After` says when to try again. Or a legal hold "
        "forbids it (`on_hold`).",
    ),
    413: ("TooLarge", "The request is too large."),
    429: ("Busy", "There is too much to do; `Retry-After` says when to try again."),
    431: ("HeadersTooLarge", "There are too many headers, or they are too large."),
    500: ("Fault", "The server had an error while answering."),
    502: ("UpstreamFailed", "The upstream model gave no answer that can be used."),
    503: (
        "Overloaded",
        "The model has too much to do; `Retry-After` says when to try again. Or what is kept is encrypted, and the "
        "server has no key (`vault_locked`).",
    ),
    507: ("DiskFull", "The server's disk is full: nothing was kept."),
}
"""By status, the name and the meaning of what is told with the error envelope."""
EVERYWHERE = (400, 429, 431, 500)
NAMED = {
    "completion_id": "CompletionId",
    "file_id": "FileId",
    "upload_id": "UploadId",
    "eval_id": "EvalId",
    "run_id": "RunId",
    "item_id": "OutputItemId",
    "job_id": "JobId",
    "feedback_id": "FeedbackId",
    "review_id": "ReviewId",
    "model": "ModelName",
}
"""The schemas of what paths name."""


def document(declared: Mapping[tuple[str, str], Scope | None]) -> dict[str, Any]:
    """The document of the routes that a gate knows, each with the scope it takes."""
    known, paths = known_operations(), dict[str, dict[str, Any]]()
    for (method, path), scope in declared.items():
        address = re.sub(r"{(\w+):path}", r"{\1}", path)
        paths.setdefault(address, {})[method.lower()] = _operation(known[method, path], method, path, scope)
    schemas = {
        **shared(),
        **chat.schemas(),
        **files.schemas(),
        **evals.schemas(),
        **tuning.schemas(),
        **people.schemas(),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stillhouse",
            "version": __version__,
            "description": "The OpenAI API, served from your own machine. `x-scope` is the scope that a key needs.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {name: _refusal(status, words) for status, (name, words) in REFUSALS.items()},
            "parameters": {"IdempotencyKey": _key()},
            "headers": {
                "Replayed": {"description": "`true`: this was answered before.", "schema": text(("true",))},
                "RequestId": {"description": "What this request is called in the log.", "schema": text()},
                "RetryAfter": {"description": "Seconds.", "schema": text()},
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "`stillhouse keys create`"}},
        },
    }


def known_operations() -> dict[tuple[str, str], Operation]:
    """What each route takes and answers, by method and path."""
    found = (chat.operations(), files.operations(), evals.operations(), tuning.operations(), people.operations())
    return {**{place: one for some in found for place, one in some.items()}, **_own()}


def _own() -> dict[tuple[str, str], Operation]:
    """What is told of the server itself."""
    up: Schema = {"type": "object", "required": ["status", "models"]}
    return {
        ("GET", "/healthz"): Operation("health", "Whether the server is up.", SERVER, {JSON: up}),
        ("GET", "/metrics"): Operation("metrics", "Counters, as Prometheus reads them.", SERVER, {"text/plain": {}}),
        ("GET", "/openapi.json"): Operation("openapi", "This document.", SERVER, {JSON: {"type": "object"}}),
    }


def _operation(one: Operation, method: str, path: str, scope: Scope | None) -> dict[str, Any]:
    names = re.findall(r"{(\w+)(?::path)?}", path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": ref(NAMED[name])} for name in names]
    parameters += [_asked(name, schema) for name, schema in one.query.items()]
    parameters += [{"$ref": "#/components/parameters/IdempotencyKey"}] if _takes_key(method, scope) else []
    body = {FORM: one.form} if one.form else {JSON: one.body} if one.body else {}
    content = {kind: {"schema": schema} for kind, schema in body.items()}
    return {
        "operationId": one.name,
        "summary": one.summary,
        "tags": [one.tag],
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": {"required": True, "content": content}} if content else {}),
        "responses": _answers(one, _refusals(one, method, bool(names), scope), _takes_key(method, scope)),
        "security": [] if scope is None else [{"key": [str(scope)]}],
        "x-scope": scope,
    }


def _takes_key(method: str, scope: Scope | None) -> bool:
    """Whether a call that is sent again can be told from another by its key."""
    return method == "POST" and scope is not None


def _key() -> dict[str, Any]:
    words = (
        "Of one's own choice, a new one for each call: who sends a call again with it gets the first answer for a day."
    )
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"}
    return {"name": KEY, "in": "header", "required": False, "description": words, "schema": schema}


def _asked(name: str, schema: Schema) -> dict[str, Any]:
    """A part of the query; metadata are asked for as `metadata[key]=value`."""
    pairs = {"style": "deepObject", "explode": True} if name == "metadata" else {}
    return {"name": name, "in": "query", **pairs, "schema": schema}


def _refusals(one: Operation, method: str, has_names: bool, scope: Scope | None) -> list[int]:
    """The statuses of what is answered in place of what was asked for."""
    found = {*EVERYWHERE, *one.refusals}
    if scope is not None:
        found |= {401, 403}
    if has_names:
        found |= {404, 405}
    if _takes_key(method, scope):
        found |= {408, 409, 413}
    if method != "GET" and scope != Scope.INFER:
        found.add(507)
    return sorted(found)


def _answers(one: Operation, refusals: list[int], takes_key: bool) -> dict[str, Any]:
    replayed = {REPLAYED: {"$ref": "#/components/headers/Replayed"}} if takes_key else {}
    well = {
        "description": one.summary,
        "headers": {"x-request-id": {"$ref": "#/components/headers/RequestId"}, **replayed},
        "content": {kind: {"schema": schema} for kind, schema in one.answers.items()},
    }
    told = {str(status): {"$ref": f"#/components/responses/{REFUSALS[status][0]}"} for status in refusals}
    others = {"description": "What an upstream refused, with its own status.", "content": _envelope()}
    return {str(one.status): well, **told, **({"default": others} if one.passes_on else {})}


def _refusal(status: int, words: str) -> dict[str, Any]:
    headers = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    if status in (409, 429, 503):
        headers["retry-after"] = {"$ref": "#/components/headers/RetryAfter"}
    return {"description": words, "headers": headers, "content": _envelope()}


def _envelope() -> dict[str, Any]:
    return {JSON: {"schema": ref("Error")}}
