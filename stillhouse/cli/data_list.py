"""`stillhouse data list`: every version of every dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_list"]


def data_list(
    project: ProjectOption = "default", home: HomeOption = None, database: DatabaseOption = None, json: AsJson = False
) -> None:
    """List every version of every dataset, and the filters that are kept.

    For example: stillhouse data list
    """

    async def work(catalogue: Catalogue, store: Store) -> tuple[Sequence[Version], list[str]]:
        return await catalogue.list(), list(await store.datasets.filters(project))

    versions, filters = with_catalogue((project, home, database), work)
    if json:
        emit({"versions": [version.to_json() for version in versions], "filters": filters})
        return
    if not versions:
        words().print("There are no datasets yet. Make one: stillhouse data import FILE --name NAME")
    for version in versions:
        tell_version(version)
    if filters:
        words().print(f"Filters that are kept: {', '.join(filters)}", markup=False, soft_wrap=True)
