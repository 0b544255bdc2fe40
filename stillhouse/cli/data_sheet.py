"""`stillhouse data sheet`: the data sheet of a version, for whoever uses it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, with_catalogue

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.reports.data_sheet import Sheet
    from stillhouse.storage.store import Store

__all__ = ["data_sheet"]


def data_sheet(
    dataset: Annotated[str, typer.Argument(help="The version: support@3, or support for the newest.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The Markdown file to write.", show_default="the terminal")
    ] = None,
    purpose: Annotated[str, typer.Option(help="What the dataset was made for, in a sentence.")] = "",
    contact: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Write the data sheet of a version: what it holds, where it comes from, what was done to it, and its terms.

    It counts, and quotes no item; of people it says only how many there are.

    Example: stillhouse data sheet support@3 --purpose "routing tickets" --out support.md
    """
    from stillhouse.reports.data_sheet import render

    async def work(catalogue: Catalogue, store: Store) -> Sheet:
        from stillhouse.recipes.terms import terms_of
        from stillhouse.reports.data_sheet import Sheet, tally

        version = await catalogue.find(dataset)
        lineage = await catalogue.lineage(version)
        book = await terms_of(store, settings.home(home))
        return Sheet(version, tally(catalogue.read(version)), lineage, book, purpose, contact)

    sheet = with_catalogue((project, home, database), work)
    page = render(sheet)
    if out is not None:
        waiting = out.with_name(f".{out.name}.writing")
        waiting.write_text(page, encoding="utf-8")
        waiting.replace(out)
    if json:
        emit(sheet.to_json() | ({"out": str(out)} if out else {}))
    else:
        words().print(f"The data sheet: {out}" if out else page, markup=False, highlight=False, soft_wrap=True)
