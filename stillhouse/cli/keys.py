"""`stillhouse keys`: makes, lists and revokes the API keys that callers of a server show."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import actor, emit, words
from stillhouse.errors import UsageError
from stillhouse.storage.records import ApiKey, Scope

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Action", "keys"]

DAY = 86_400


class Action(StrEnum):
    """What is done with keys."""

    CREATE = "create"
    LIST = "list"
    REVOKE = "revoke"


def keys(
    action: Annotated[Action, typer.Argument(help="What to do: create a key, list all, or revoke one.")],
    name: Annotated[
        str | None, typer.Argument(help="The name of the key to create, or the name or id of the one to revoke.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may be used for: asking models (infer), reading what is kept (read), changing what is "
            "learnt from (train), or everything (admin). Give several, or several with commas, to allow them all.",
            show_default="infer, read",
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, help="Days until it expires.", show_default="it does not expire")
    ] = None,
    project: Annotated[str, typer.Option(help="Whose calls it reads and keeps: no other project's.")] = "default",
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database that the server keeps calls in.",
            show_default="STILLHOUSE_DATABASE, else stillhouse.db in the home folder",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make, list and revoke the API keys of a server.

    The secret of a key is shown once, when it is made: only its SHA-256 is kept. A revoked key ends within a second,
    also at a server that runs.
    """
    if (name is None) != (action == Action.LIST):
        raise UsageError("`keys list` takes no name." if name else f"`keys {action}` needs the name of a key.")

    scopes = _scopes(scope or [])

    async def work() -> dict[str, Any]:
        from stillhouse.storage.store import Store

        store = await Store.open(settings.database(database), settings.home(home))
        try:
            if action == Action.CREATE:
                expires = None if days is None else int(time.time() + days * DAY)
                return await _create(store, project, name or "", scopes, expires)
            if action == Action.REVOKE:
                return await _revoke(store, name or "")
            return {"keys": [_shown(key) for key in await store.keys.all()]}
        finally:
            await store.close()

    result = asyncio.run(work())
    if json:
        emit(result)
    else:
        _tell(action, result)


def _scopes(given: list[str]) -> list[Scope]:
    """The scopes that were named, each once; asking and reading when none were."""
    words = [word.strip() for each in given for word in each.split(",")]
    for word in words:
        if word not in list(Scope):
            raise UsageError(f"--scope {word!r} is none of {', '.join(Scope)}.")
    return list(dict.fromkeys(map(Scope, words))) or [Scope.INFER, Scope.READ]


async def _create(store: Store, project: str, name: str, scopes: list[Scope], expires: int | None) -> dict[str, Any]:
    key, secret = await store.keys.create(project, name, scopes, expires, actor())
    return {**_shown(key), "secret": secret}


async def _revoke(store: Store, name: str) -> dict[str, Any]:
    if not await store.keys.revoke(name, actor()):
        raise UsageError(f"There is no key in use with the name or id {name!r}. `stillhouse keys list` shows them.")
    return {"revoked": name}


def _shown(key: ApiKey) -> dict[str, Any]:
    return {**asdict(key), "scopes": sorted(key.scopes), "valid": key.opens(time.time())}


def _tell(action: Action, result: dict[str, Any]) -> None:
    console = words()
    if action == Action.CREATE:
        console.print(f"The key {result['name']!r} for {', '.join(result['scopes'])}, shown this once:", markup=False)
        console.print(result["secret"], markup=False, highlight=False, soft_wrap=True)
    elif action == Action.REVOKE:
        console.print(f"The key {result['revoked']!r} is revoked.", markup=False)
    elif not result["keys"]:
        console.print("There are no keys yet. Make one: stillhouse keys create NAME")
    for key in result.get("keys", ()):
        state = "valid" if key["valid"] else "revoked" if key["revoked"] else "expired"
        used = "never used" if key["used"] is None else f"last used {_day(key['used'])}"
        parts = [f"{key['shown']}...", key["name"], state, ", ".join(key["scopes"]), key["project"], used, key["id"]]
        console.print("  ".join(parts), markup=False, highlight=False, soft_wrap=True)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
