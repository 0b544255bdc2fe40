"""`stillhouse data show`: what a version is, and its first items or those that it left out."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.items import Item
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_show", "shown", "tell_item"]

BESIDE = ("id", "reason", "likeness")
"""What is told of an item beside what it is."""

WIDTH = 100
"""Letters of a text that a line shows."""


def data_show(
    dataset: Annotated[str, typer.Argument(help="name@number, or name for its newest version.")],
    rows: Annotated[int, typer.Option(min=0, help="How many items to show.")] = 5,
    dropped: Annotated[bool, typer.Option("--dropped", help="Show what its step left out, with the reasons.")] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show what a version of a dataset is: how it was made, and its first items.

    For example: stillhouse data show support@3 --dropped
    """

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, list[dict[str, Any]]]:
        version = await catalogue.find(dataset)
        if dropped:
            left = await catalogue.left_out(version)
            return version, [shown(item, reason) for item, reason in islice(left, rows)]
        return version, [shown(item) for item in islice(catalogue.read(version), rows)]

    version, items = with_catalogue((project, home, database), work)
    if json:
        emit({**version.to_json(), "shown": items})
        return
    tell_version(version)
    _tell_step(version)
    for item in items:
        tell_item(item)


def shown(item: Item, reason: str | None = None) -> dict[str, Any]:
    """An item as JSON tells of it, with the reason for which it was left out."""
    told = {"id": item.id, **item.to_json()}
    return told if reason is None else {**told, "reason": reason}


def tell_item(item: dict[str, Any]) -> None:
    """One line about an item, for people."""
    from stillhouse.data.items import item_from_json

    reason = item.get("reason")
    read = item_from_json({name: value for name, value in item.items() if name not in BESIDE})
    parts = [read.text, read.label or read.words, f"({reason})" if reason else ""]
    told = "  →  ".join(_short(part) for part in parts[:2] if part)
    words().print(f"  {item['id'][:8]}  {told}  {parts[2]}".rstrip(), markup=False, highlight=False, soft_wrap=True)


def _tell_step(version: Version) -> None:
    step, say = version.step, words()
    lines = [f"  hash  {version.hash}", f"  file  {version.path}"]
    if step.parents:
        lines.append(f"  of    {', '.join(step.parents)}")
    lines += [f"  {name}  {_told(value)}" for name, value in {**step.settings, **step.counts}.items()]
    for line in [*lines, f"  by    {step.code}"]:
        say.print(line, markup=False, highlight=False, soft_wrap=True)


def _told(value: Any) -> str:
    """A setting as it would be written in JSON, words without quotes."""
    import orjson

    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
