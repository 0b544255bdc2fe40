"""`stillhouse data lineage`: what a version was made of, back to calls and files, and what learnt from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.console import emit, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, day, with_catalogue

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.versions import Version
    from stillhouse.storage.dataset_records import StoredUse
    from stillhouse.storage.store import Store

__all__ = ["data_lineage"]

Told = tuple["Sequence[Version]", "Sequence[Version]", "Sequence[StoredUse]"]


def data_lineage(
    dataset: Annotated[str, typer.Argument(help="name@number, or name for its newest version.")],
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show what a version was made of, step by step back to calls and files, and what was made of it.

    For example: stillhouse data lineage support@3
    """

    async def work(catalogue: Catalogue, store: Store) -> Told:
        version = await catalogue.find(dataset)
        later = await catalogue.descendants(version)
        return await catalogue.lineage(version), later, await catalogue.uses([version, *later])

    made_of, later, uses = with_catalogue((project, home, database), work)
    if json:
        emit(
            {
                "version": made_of[0].reference,
                "lineage": [each.to_json() for each in made_of],
                "descendants": [each.reference for each in later],
                "uses": [_use(use) for use in uses],
            }
        )
        return
    say = words()
    for line in _tree(made_of):
        say.print(line, markup=False, highlight=False, soft_wrap=True)
    if later:
        say.print(f"Made of it: {', '.join(each.reference for each in later)}", markup=False, soft_wrap=True)
    for use in uses:
        told = "{kind} {user} learnt from {version}".format_map(_use(use))
        say.print(told, markup=False, highlight=False, soft_wrap=True)


def _use(use: StoredUse) -> dict[str, Any]:
    name, number = use.version
    return {"version": f"{name}@{number}", "kind": use.kind, "user": use.user, "created": use.created}


def _tree(versions: Sequence[Version]) -> Iterator[str]:
    """The lines of a tree: the first version, and below it what it was made of; one that two were made of is told once.

    A line is as long as it has to be: in a file or a pipe nothing of it is cut off.
    """
    known = {version.reference: version for version in versions}
    told: set[str] = set()

    def branch(reference: str, first: str, below: str) -> Iterator[str]:
        version = known.get(reference)
        if version is None or reference in told:
            yield f"{first}{reference}{' (above)' if reference in told else ''}"
            return
        told.add(reference)
        yield first + _line(version)
        parents = version.step.parents
        stem = "│   " if parents else "    "
        for fact in _facts(version):
            yield below + stem + fact
        for number, parent in enumerate(parents, 1):
            last = number == len(parents)
            yield from branch(parent, below + ("└── " if last else "├── "), below + ("    " if last else "│   "))

    yield from branch(versions[0].reference, "", "")


def _line(version: Version) -> str:
    left = f", {version.dropped} left out" if version.dropped else ""
    return f"{version.reference}  {version.step.verb}  {version.items} items{left}  {day(version.created)}"


def _facts(version: Version) -> list[str]:
    step = version.step
    facts = [f"{name}: {_short(value)}" for name, value in step.settings.items() if value not in (None, [], {}, "")]
    counts = ", ".join(f"{name} {count}" for name, count in step.counts.items())
    return [*facts, *([counts] if counts else []), f"sha256 {version.hash[:16]}…, {step.code}"]


def _short(value: Any) -> str:
    import orjson

    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 160 else f"{text[:159]}…"
