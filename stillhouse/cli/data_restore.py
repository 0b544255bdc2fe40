"""`stillhouse data restore`: rows that a step dropped, back in a new version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_restore"]


def data_restore(
    dataset: Annotated[str, typer.Argument(help="name@number of the version whose step dropped rows, or name.")],
    reason: Annotated[
        list[str] | None,
        typer.Option(help="The word of a reason: near-duplicate, refusal, ... Repeat it, or write `all`."),
    ] = None,
    item: Annotated[list[str] | None, typer.Option(help="The id of a row, or how it begins. Repeat it.")] = None,
    name: Annotated[str | None, typer.Option(help="The dataset to make.", show_default="the same name")] = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Bring rows back that curation, a filter or another step dropped: a new version with them in their old places.

    For example: stillhouse data restore support@3 --reason near-duplicate
    Or one row:  stillhouse data restore support@3 --item 3f9a21c0

    What stays dropped goes along with the new version, so that it can be brought back from there.
    """
    if not reason and not item:
        raise UsageError("Say what comes back: --reason near-duplicate, --reason all, or --item ID.")

    async def work(catalogue: Catalogue, store: Store) -> Version:
        from stillhouse.data.curation.restore import chosen, restored
        from stillhouse.data.versions import Step

        source = await catalogue.find(dataset)
        seen = Counter(each.split(":", 1)[0] for _, each in await catalogue.left_out(source))
        if not seen:
            raise UsageError(await _nothing(catalogue, source))
        wanted = list(seen) if "all" in (reason or []) else list(reason or [])
        unknown = [each for each in wanted if each not in seen]
        there = ", ".join(f"{word} ({count:,})" for word, count in sorted(seen.items()))
        if unknown:
            raise UsageError(f"Nothing was dropped from {source.reference} for {unknown[0]!r}. There are: {there}.")
        back, left = chosen(await catalogue.left_out(source), wanted, item or [])
        if not back:
            raise UsageError(f"{source.reference} dropped no row with this id. It dropped: {there}.")
        order = await _order(catalogue, source)
        items = restored(catalogue.read(source), (each for each, _ in back), order)
        came = dict(Counter(why.split(":", 1)[0] for _, why in back))
        how = {"reasons": sorted(wanted), "items": sorted(item or [])}
        counts = {"kept": source.items + len(back), "brought back": len(back), "still dropped": len(left), **came}
        return await catalogue.add(name or source.name, items, Step("restore", (source.reference,), how, counts), left)

    version = with_catalogue((project, home, database), work)
    if json:
        emit(version.to_json())
        return
    tell_version(version)
    words().print(f"{version.step.counts['brought back']:,} rows are back.", highlight=False)


async def _nothing(catalogue: Catalogue, version: Version) -> str:
    """That a version has nothing to bring back, and which of those that it was made of has."""
    from stillhouse.data.catalogue import NOT_WANTED

    told = f"Nothing was dropped from {version.reference}: it has nothing to bring back."
    for older in await catalogue.lineage(version):
        if older.dropped or (older.step.verb == "filter" and older.step.counts.get(NOT_WANTED)):
            return f"{told} {older.reference}, of which it was made, has: name that."
    return told


async def _order(catalogue: Catalogue, version: Version) -> Iterable[str] | None:
    """The ids of the rows that a version was made of, in their order; None where these are no more."""
    try:
        while version.step.verb == "restore":
            version = await catalogue.find(version.step.parents[0])
        origin = await catalogue.find(version.step.parents[0])
    except (UsageError, IndexError):
        return None
    return (item.id for item in catalogue.read(origin))
