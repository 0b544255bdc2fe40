"""`stillhouse data split`: a new version in which every item belongs to train, test and so on, by its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_split"]


def data_split(
    dataset: Annotated[str, typer.Argument(help="name@number, or name for its newest version.")],
    to: Annotated[
        str | None, typer.Option(help="The dataset whose new version it becomes.", show_default="the same dataset")
    ] = None,
    shares: Annotated[
        str, typer.Option(help="The parts and their shares, which are 1 together.")
    ] = "train=0.8,selection=0.1,test=0.1",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another split.")] = 0,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Give every item its part: near duplicates and turns of one conversation never lie on two sides.

    The part depends on what an item says and on the seed alone, so that it stays when more is added later.

    For example: stillhouse data split support --shares train=0.8,test=0.2
    """
    from stillhouse.data.parting import parse_shares

    wanted = parse_shares(shares)

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, dict[str, Any]]:
        from stillhouse.data.parting import part
        from stillhouse.data.versions import Step

        version = await catalogue.find(dataset)
        parted = part(list(catalogue.read(version)), wanted, seed)
        told = {"rows": dict(parted.rows), "groups": parted.groups, "kept_together": parted.together}
        counts = {"kept": len(parted.items), **parted.rows}
        step = Step("split", (version.reference,), {"shares": wanted, "seed": seed}, counts)
        return await catalogue.add(to or version.name, parted.items, step), told

    version, told = with_catalogue((project, home, database), work)
    if json:
        emit({**version.to_json(), **told})
        return
    tell_version(version)
    for name, count in told["rows"].items():
        words().print(f"  {name}  {count}", markup=False, highlight=False)
    words().print(
        f"  {told['kept_together']} items lie together with one that says the same or belongs to the same conversation",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
