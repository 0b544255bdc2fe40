"""`stillhouse terms`: what may be done with the answers of each teacher, written down, shown and checked."""

from __future__ import annotations

import asyncio
import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import actor, emit, words
from stillhouse.errors import UsageError

__all__ = ["Action", "terms"]


class Action(StrEnum):
    """What is done with terms."""

    ADD = "add"
    LIST = "list"
    SHOW = "show"
    REMOVE = "remove"


def terms(
    action: Annotated[Action, typer.Argument(help="What to do.")],
    teacher: Annotated[
        str | None, typer.Argument(help="The teacher: its name in stillhouse.toml, or a model.", show_default=False)
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="What is allowed, and nothing else: train, evaluate, serve, commercial; several, or several with "
            "commas.",
            show_default="all of them",
        ),
    ] = None,
    attribution: Annotated[str, typer.Option(help="Words that must go with what is made of the answers.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="The last day on which the terms hold, such as 2027-01-31.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where the terms are published.")] = "",
    snapshot: Annotated[
        Path | None, typer.Option(help="A copy of the terms as you read them: its SHA-256 is kept.", show_default=False)
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model that answers for this teacher, `*` stands for anything: gpt-4o*. Give several."),
    ] = None,
    licence: Annotated[str, typer.Option(help="The name of the licence, where it has one.")] = "",
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
    """Write down what may be done with a teacher's answers; runs that the terms forbid are refused.

    Every row says who answered it, and its teacher's terms are looked up by that: training, labelling and generating
    ask for `train`. Terms may also stand in stillhouse.toml, as [teachers.NAME.terms], and those go first.

    Example: stillhouse terms add big-api --allow evaluate,serve --model 'big-*' --source https://example.com/terms
    """
    if (teacher is None) != (action == Action.LIST):
        raise UsageError("`terms list` takes no name." if teacher else f"`terms {action}` needs the name of a teacher.")
    from stillhouse.data.terms import Terms

    new = None
    if action == Action.ADD:
        given = {"attribution": attribution, "expires": expires, "source": source, "licence": licence}
        allowed = (
            {"allowed": [word.strip() for each in allow for word in each.split(",") if word.strip()]} if allow else {}
        )
        told = {"teacher": teacher, "models": model or (), "snapshot": _hash(snapshot), **given, **allowed}
        new = Terms.from_json(told)

    async def work() -> dict[str, Any]:
        from stillhouse.recipes.server import read_server_file
        from stillhouse.recipes.terms import terms_of
        from stillhouse.storage.store import Store

        folder = settings.home(home)
        store = await Store.open(settings.database(database), folder)
        try:
            if new is not None:
                await store.teacher_terms.put(new.teacher, new.to_json(), actor())
                return new.to_json()
            if action == Action.REMOVE:
                return await _remove(store, teacher or "", set(read_server_file(folder).terms))
            book = await terms_of(store, folder)
            if action == Action.LIST:
                return {"terms": [each.to_json() for each in book.terms.values()]}
            found = book.find(teacher or "")
            if found is None:
                raise UsageError(f"No terms of {teacher!r} are known. `stillhouse terms list` shows those that are.")
            return found.to_json()
        finally:
            await store.close()

    result = asyncio.run(work())
    if json:
        emit(result)
        return
    for line in _told(action, result):
        words().print(line, markup=False, highlight=False, soft_wrap=True)


async def _remove(store: Any, teacher: str, in_file: set[str]) -> dict[str, Any]:
    if not await store.teacher_terms.remove(teacher, actor()):
        where = " They stand in stillhouse.toml: take them out there." if teacher in in_file else ""
        raise UsageError(f"The database has no terms of {teacher!r}.{where}")
    return {"removed": teacher}


def _hash(snapshot: Path | None) -> str:
    if snapshot is None:
        return ""
    try:
        return hashlib.sha256(snapshot.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"--snapshot {snapshot} cannot be read: {error.strerror}.") from error


def _told(action: Action, result: dict[str, Any]) -> list[str]:
    if action == Action.REMOVE:
        return [f"The terms of {result['removed']} are forgotten."]
    if action == Action.LIST:
        if not result["terms"]:
            return ["No terms are known yet. Write some down: stillhouse terms add TEACHER --allow train,evaluate"]
        return [_line(each) for each in result["terms"]]
    return [_line(result)]


def _line(each: dict[str, Any]) -> str:
    parts = [each["teacher"], "allows " + (", ".join(each["allowed"]) or "nothing")]
    parts += [f"until {each['expires']}"] if each["expires"] else []
    parts += [f"models {', '.join(each['models'])}"] if each["models"] else []
    parts += [f"attribution {each['attribution']!r}"] if each["attribution"] else []
    parts += [each["licence"]] if each["licence"] else []
    return "  ".join([*parts, *([each["source"]] if each["source"] else [])])
