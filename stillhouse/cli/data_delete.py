"""`stillhouse data delete`: a version and its files; what descends from it, and what learnt from it, is told first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.console import actor, emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, with_catalogue
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.storage.store import Store

__all__ = ["data_delete"]


def data_delete(
    dataset: Annotated[str, typer.Argument(help="name@number: the version to delete.")],
    with_descendants: Annotated[
        bool, typer.Option("--with-descendants", help="Delete the versions that were made of it as well.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Delete a version of a dataset and its files. Its number is not given again.

    It is refused while other versions were made of it, unless these are to go as well, and while a legal hold protects
    items of it. What learnt from it, such as a student, stays as it is, and is named.

    For example: stillhouse data delete support@2 --dry-run
    """
    from stillhouse.data.versions import is_reference

    if not is_reference(dataset):
        raise UsageError(f"{dataset!r} names no single version: write name@number, such as {dataset}@1.")

    async def work(catalogue: Catalogue, store: Store) -> dict[str, Any]:
        version = await catalogue.find(dataset)
        going = await catalogue.going(version, with_descendants)
        uses = await catalogue.uses(going)
        if not dry_run:
            going = await catalogue.delete(version, with_descendants, actor())
        used = [{"version": f"{use.version[0]}@{use.version[1]}", "kind": use.kind, "user": use.user} for use in uses]
        return {"deleted": [each.reference for each in going], "dry_run": dry_run, "used_by": used}

    result = with_catalogue((project, home, database), work)
    for use in result["used_by"]:
        progress().print(
            f"[yellow]warning:[/] {use['kind']} {use['user']} learnt from {use['version']}; it stays as it is.",
            highlight=False,
            soft_wrap=True,
        )
    if json:
        emit(result)
        return
    told = "would be deleted" if dry_run else "deleted"
    words().print(f"{', '.join(result['deleted'])} {told}", markup=False, highlight=False, soft_wrap=True)
