"""`stillhouse data diff`: what one version has that another has not, and what changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, with_catalogue

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_diff"]


def data_diff(
    old: Annotated[str, typer.Argument(help="The version to begin from: name@number.")],
    new: Annotated[str, typer.Argument(help="The version to compare with it.")],
    rows: Annotated[int, typer.Option(min=0, help="How many items of each kind to name.")] = 10,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Compare two versions: which items were added, removed and changed, and in which columns.

    For example: stillhouse data diff support@2 support@3
    """

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, Version]:
        return await catalogue.find(old), await catalogue.find(new)

    first, second = with_catalogue((project, home, database), work)
    from stillhouse.data.diff import difference

    found = difference(first.path, second.path, rows)
    if json:
        emit({"old": first.reference, "new": second.reference, **asdict(found)})
        return
    say = words()
    told = f"{found.same} the same, {found.added} added, {found.removed} removed, {found.changed} changed"
    lines = [f"From {first.reference} to {second.reference}: {told}."]
    lines += [f"  changed in {name}: {count}" for name, count in found.fields.items()]
    lines += [f"  + {item}" for item in found.first_added]
    lines += [f"  - {item}" for item in found.first_removed]
    lines += [f"  ~ {each.old} → {each.new}  {', '.join(each.fields)}" for each in found.first_changed]
    for line in lines:
        say.print(line, markup=False, highlight=False, soft_wrap=True)
