"""`stillhouse teacher`: names the teachers behind APIs that a server passes calls on to, in its `stillhouse.toml`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, words
from stillhouse.errors import UsageError
from stillhouse.recipes.server import FILE, ServerFile, TeacherSection, read_server_file

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

__all__ = ["Action", "teacher"]


class Action(StrEnum):
    """What is done with teachers."""

    ADD = "add"
    LIST = "list"
    REMOVE = "remove"


def teacher(
    action: Annotated[Action, typer.Argument(help="What to do: add a teacher, list all, or remove one.")],
    name: Annotated[str | None, typer.Argument(help="What the teacher is called here, such as openai.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Base URL of its OpenAI-compatible API, such as https://api.openai.com/v1.")
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(help="The environment variable that holds its API key; the key itself is written nowhere."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model of it, as ALIAS=REAL or by its real name; give several. Clients ask for the alias.",
            show_default="each of its models, asked for as NAME/MODEL",
        ),
    ] = None,
    price_in: Annotated[float, typer.Option(min=0, help="Price of a million tokens that it reads.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Price of a million tokens that it writes.")] = 0.0,
    harvest_logprobs: Annotated[
        bool,
        typer.Option("--harvest-logprobs", help="Ask it for log-probabilities with calls that are kept: soft labels."),
    ] = False,
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Name the teachers behind APIs that a server passes calls on to.

    They stand in `stillhouse.toml` in the home folder; all else in that file stays as you wrote it. A server reads it
    when it starts. For example:

      stillhouse teacher add openai --base-url https://api.openai.com/v1 --key-env OPENAI_API_KEY
      stillhouse teacher add desk --base-url http://localhost:8001/v1 --model large=Qwen/Qwen3-8B
    """
    if (name is None) != (action == Action.LIST):
        raise UsageError("`teacher list` takes no name." if name else f"`teacher {action}` needs a name.")
    folder = settings.home(home)
    file = read_server_file(folder)
    if action == Action.ADD:
        section = _section(base_url, key_env, model or (), (price_in, price_out), harvest_logprobs)
        _add(folder, file, name or "", section)
    elif action == Action.REMOVE:
        _remove(folder, file, name or "")
    listed = {each: _shown(section) for each, section in read_server_file(folder).teachers.items()}
    if json:
        emit({"file": str(folder / FILE), "teachers": listed})
    else:
        _tell(folder / FILE, listed)


def _section(
    base_url: str | None,
    key_env: str | None,
    models: list[str] | tuple[str, ...],
    prices: tuple[float, float],
    harvest: bool,
) -> TeacherSection:
    if base_url is None:
        raise UsageError("`teacher add` needs --base-url, such as https://api.openai.com/v1.")
    pairs: dict[str, str] = {}
    for each in models:
        alias, _, real = each.partition("=")
        alias, real = alias.strip(), real.strip() or alias.strip()
        if not alias or alias in pairs:
            raise UsageError(f"--model {each!r} names {'a model twice' if alias else 'none'}. It is ALIAS=REAL.")
        pairs[alias] = real
    return TeacherSection(
        base_url=base_url,
        key_env=key_env,
        models=pairs,
        price_in=prices[0],
        price_out=prices[1],
        harvest_logprobs=harvest,
    )


def _add(folder: Path, file: ServerFile, name: str, section: TeacherSection) -> None:
    """Write a teacher's table; whatever else the file holds stays as it is."""
    import tomlkit

    if name in file.teachers:
        raise UsageError(f"There is a teacher {name!r} already. Remove it first: stillhouse teacher remove {name}")
    ServerFile(teachers={**file.teachers, name: section})  # refuses a wrong name before anything is written
    table, default = tomlkit.table(), asdict(TeacherSection(base_url=section.base_url))
    table.add("base_url", section.base_url)
    for key, value in asdict(section).items():
        if key not in ("base_url", "models") and value != default[key]:
            table.add(key, value)
    if section.models:
        models = tomlkit.table()
        for alias, real in section.models.items():
            models.add(alias, real)
        table.add("models", models)
    document = _read(folder)
    if "teachers" not in document:
        document.add("teachers", tomlkit.table(is_super_table=True))
    teachers: Any = document["teachers"]
    teachers.add(name, table)
    _write(folder, document)


def _remove(folder: Path, file: ServerFile, name: str) -> None:
    if name not in file.teachers:
        known = ", ".join(file.teachers) or "none"
        raise UsageError(f"There is no teacher {name!r}. There are: {known}.")
    document = _read(folder)
    teachers: Any = document["teachers"]
    teachers.remove(name)
    _write(folder, document)


def _read(folder: Path) -> TOMLDocument:
    import tomlkit

    path = folder / FILE
    return tomlkit.parse(path.read_text(encoding="utf-8")) if path.is_file() else tomlkit.document()


def _write(folder: Path, document: TOMLDocument) -> None:
    """The file in place of the old one, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{FILE}.new"
    draft.write_text(document.as_string(), encoding="utf-8")
    try:
        draft.replace(folder / FILE)
    finally:
        draft.unlink(missing_ok=True)


def _shown(section: TeacherSection) -> dict[str, Any]:
    """A teacher's table, and whether its key is there; not the key."""
    ready = section.key_env is None or settings.is_set(section.key_env)
    return {**asdict(section), "models": dict(section.models), "key_is_set": ready}


def _tell(path: Path, listed: dict[str, dict[str, Any]]) -> None:
    console = words()
    if not listed:
        console.print(
            f"There are no teachers in {path} yet. Name one: stillhouse teacher add NAME --base-url URL", markup=False
        )
    for name, shown in listed.items():
        models = ", ".join(alias if alias == real else f"{alias}={real}" for alias, real in shown["models"].items())
        parts = [name, shown["base_url"], models or f"any of its models, as {name}/MODEL"]
        if shown["key_env"]:
            parts.append(f"key in {shown['key_env']}" + ("" if shown["key_is_set"] else ", which is not set"))
        console.print("  ".join(parts), markup=False, highlight=False, soft_wrap=True)
