"""`name@3` on the command line: the versions of datasets that verbs name where they take files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stillhouse import settings
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.recipes.sections import DataSection
    from stillhouse.storage.store import Store

__all__ = ["note_uses", "opened", "opened_section"]

Result = TypeVar("Result")


def opened(paths: Sequence[Path], home: Path, *, by_label: bool = False) -> list[Path]:
    """The files as they were named; in the place of a version of a dataset the file that holds its rows.

    With `by_label` the answer of a row is its label, for students that sort.
    """
    from stillhouse.recipes.datasets import is_dataset, open_dataset

    for path in paths:
        if not path.suffix and is_dataset(Path(f"{path}@1")) and not path.exists():
            raise UsageError(
                f"{path} does not exist. If you mean the dataset, name a version of it, such as {path}@1: "
                "`stillhouse data list` shows them."
            )
    if not any(is_dataset(path) for path in paths):
        return list(paths)

    async def work(store: Store) -> list[Path]:
        return [
            await open_dataset(path, store, home, by_label=by_label) if is_dataset(path) else path for path in paths
        ]

    return _with_store(home, work)


def opened_section(section: DataSection, home: Path) -> DataSection:
    """The data of a recipe, with files in the place of versions of datasets."""
    given = {"train": section.train, "selection": section.selection, "test": section.test}
    named = {name: path for name, path in given.items() if path is not None}
    files = dict(zip(named, opened(list(named.values()), home), strict=True))
    return replace(section, train=files["train"], selection=files.get("selection"), test=files.get("test"))


def note_uses(paths: Sequence[Path | None], kind: str, user: Path, home: Path) -> None:
    """Note in the catalogue what learnt from the datasets whose rows some files hold."""
    from stillhouse.recipes.datasets import datasets_behind, note_use

    behind = [path for path in paths if path is not None and datasets_behind([path])]
    if not behind:
        return

    async def work(store: Store) -> None:
        for path in behind:
            await note_use(path, kind, str(user.resolve()), store, home)

    _with_store(home, work)


def _with_store(home: Path, work: Callable[[Store], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        from stillhouse.storage.store import Store

        store = await Store.open(settings.database(None), home)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
