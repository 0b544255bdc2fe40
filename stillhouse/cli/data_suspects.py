"""`stillhouse data suspects`: rows whose label is likely wrong, the likeliest first."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_curate import short
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, with_catalogue
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.items import Item
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_suspects"]


def data_suspects(
    dataset: Annotated[str, typer.Argument(help="name@number, or name for its newest version.")],
    rows: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    label: Annotated[str | None, typer.Option(help="Only rows that carry this label.")] = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show the rows that the step `label-errors` suspects, with the label that is likelier.

    For example: stillhouse data curate tickets --steps label-errors
    Then:        stillhouse data suspects tickets --rows 50
    """

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, int, list[dict[str, Any]]]:
        from stillhouse.data.curation.curated import tagged
        from stillhouse.data.curation.label_errors import SUSPECT

        version = await catalogue.find(dataset)
        found = [_shown(item) for item in catalogue.read(version) if tagged(item, SUSPECT)]
        if not found:
            raise UsageError(
                f"{version.reference} has no suspects: stillhouse data curate {version.name} --steps label-errors "
                "looks for them."
            )
        wanted = [each for each in found if label is None or each["label"] == label]
        return version, len(wanted), nsmallest(rows, wanted, key=lambda each: (-each["margin"], each["id"]))

    version, count, suspects = with_catalogue((project, home, database), work)
    if json:
        emit({"dataset": version.reference, "count": count, "suspects": suspects})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "label", "likelier", "by", "text"):
        table.add_column(heading, justify="right" if heading == "by" else "left")
    for each in suspects:
        table.add_row(each["id"][:8], each["label"], each["suggested"], f"{each['margin']:.2f}", short(each["text"]))
    words().print(table)
    words().print(f"{len(suspects):,} of {count:,} suspects of {version.reference}.", highlight=False)


def _shown(item: Item) -> dict[str, Any]:
    from stillhouse.data.curation.label_errors import MARGIN, SUGGESTED
    from stillhouse.data.curation.said import label_of

    metadata = item.facts.metadata
    return {
        "id": item.id,
        "label": label_of(item) or item.words,
        "suggested": metadata.get(SUGGESTED, ""),
        "margin": float(metadata.get(MARGIN, "0")),
        "text": item.text,
    }
