"""`stillhouse data curate`: a dataset made worth learning from, step by step; what is dropped stays beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import typer
from rich.table import Table

from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.curation.catalog import Taken
    from stillhouse.data.curation.curated import Curated
    from stillhouse.data.curation.curation import Curation
    from stillhouse.data.items import Item
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["Rows", "against", "data_curate", "rows_of", "short"]

HELD = 200_000
"""Items up to which they are held in memory; of more each step reads the file again."""
TOLD = 100_000
"""Rows after which the terminal is told of."""
EXAMPLES = 2
"""Examples that are shown of each reason."""
WIDTH = 60
"""Characters of an example."""


def data_curate(
    dataset: Annotated[
        str | None, typer.Argument(help="name@number, or name for its newest version; nothing with --list.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            help="The steps in their order, with commas between.",
            show_default="refusals,broken,duplicates,near-duplicates",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A TOML file with steps = [...] and a table of settings for each step.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="One setting: --set near-duplicates.threshold=0.9. Repeat it.")
    ] = None,
    tests: Annotated[
        list[str] | None,
        typer.Option("--against", help="A test set that the rows must not hold: name@number or a file. Repeat it."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The dataset to make.", show_default="the same name")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and make nothing.")] = False,
    list_steps: Annotated[bool, typer.Option("--list", help="List the steps that there are.")] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Make a dataset worth learning from: a new version, beside which lies what was dropped, with the reasons.

    For example: stillhouse data curate support --steps refusals,broken,duplicates,near-duplicates --dry-run
    Then:        stillhouse data restore support@3 --reason near-duplicate

    Steps are taken one after the other. The same rows and settings give the same version on every machine.
    """
    from stillhouse.data.curation.curation import STEPS

    if list_steps:
        _list(dict(STEPS), json)
        return
    if dataset is None:
        raise UsageError("Say which dataset: stillhouse data curate NAME. --list shows the steps.")
    curation = _curation(steps, recipe, change or [], bool(tests))

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, Version | None, Taken, list[dict[str, Any]]]:
        from stillhouse.data.curation.catalog import Means, curate

        source = await catalogue.find(dataset)
        found = [await against(each, catalogue, store) for each in tests or []]
        given = {told["name"]: (rows, told) for rows, told in found}
        if len(given) < len(found):
            raise UsageError("Two test sets have one name: give the files other names.")
        means = Means(tests={each: rows for each, (rows, _) in given.items()})
        taken = curate(rows_of(catalogue, source), curation, means, lambda step: progress().print(f"{step} ..."))
        shown = [_step(each) for each in taken.steps]
        if dry_run:
            return source, None, taken, shown
        made = await _keep(
            catalogue, (source, name or source.name), curation, taken, [told for _, told in given.values()]
        )
        return source, made, taken, shown

    source, version, taken, shown = with_catalogue((project, home, database), work)
    if json:
        made = version.to_json() if version else {}
        emit({**made, "dry_run": dry_run, "of": source.reference, "counts": taken.counts, "steps": shown})
        return
    _tell(taken, shown)
    if version:
        tell_version(version)
        if version.dropped:
            words().print(f"Bring rows back: stillhouse data restore {version.reference} --reason REASON", markup=False)


@final
class Rows:
    """The items of a version, read from its file each time they are asked for."""

    def __init__(self, catalogue: Catalogue, version: Version) -> None:
        self._catalogue, self._version = catalogue, version

    def __iter__(self) -> Iterator[Item]:
        for number, item in enumerate(self._catalogue.read(self._version)):
            if number and number % TOLD == 0:
                progress().print(f"  {number:,} of {self._version.items:,} rows read", highlight=False)
            yield item


def rows_of(catalogue: Catalogue, version: Version) -> Iterable[Item]:
    """The items of a version, to be read again and again: held where they are few."""
    rows = Rows(catalogue, version)
    return tuple(rows) if version.items <= HELD else rows


async def against(given: str, catalogue: Catalogue, store: Store) -> tuple[Iterable[Item], dict[str, Any]]:
    """The items of a version or a file, and what a version's lineage says of it."""
    path = Path(given)
    if path.is_file():
        from stillhouse.artifacts import hash_file
        from stillhouse.data.bad_rows import BadRows
        from stillhouse.data.importers.catalog import sniff
        from stillhouse.data.importers.options import Options
        from stillhouse.data.shelf import Shelf

        bad = BadRows()
        items = tuple(sniff(path).read(path, Options(shelf=Shelf(store.files.blobs)), bad))
        bad.refuse()
        return items, {"name": path.name, "sha256": hash_file(path)}
    version = await catalogue.find(given)
    return rows_of(catalogue, version), {"name": version.reference, "hash": version.hash}


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _curation(steps: str | None, recipe: Path | None, change: list[str], tests: bool) -> Curation:
    """What the command line and the recipe ask for, checked."""
    from stillhouse.data.curation.curation import STEPS, Curation
    from stillhouse.recipes.toml import fill, read_toml

    where = f"The recipe {recipe}" if recipe else "The command line"
    table = {key.replace("-", "_"): value for key, value in (read_toml(recipe) if recipe else {}).items()}
    if steps is not None:
        table["steps"] = [step.strip() for step in steps.split(",") if step.strip()]
    for each in change:
        step, key, value = _setting(each)
        if step not in STEPS:
            raise UsageError(f"--set {each}: {step!r} is no step. There are {', '.join(STEPS)}.")
        table.setdefault(step.replace("-", "_"), {})[key] = value
    curation = fill(Curation, table, where)
    unused = sorted(key for key in table if key != "steps" and key.replace("_", "-") not in curation.steps)
    if unused:
        raise UsageError(f"{where} sets {unused[0].replace('_', '-')}, which is none of the steps that are taken.")
    if tests != ("decontaminate" in curation.steps):
        raise UsageError("The step `decontaminate` and --against go together: the test sets are what it looks for.")
    return curation


def _setting(given: str) -> tuple[str, str, Any]:
    """A setting of a step, its value as TOML reads it; a bare word is a text."""
    place, sign, value = given.partition("=")
    step, dot, key = place.strip().partition(".")
    if not sign or not dot or not key:
        raise UsageError(f"--set {given}: write step.setting=value, such as near-duplicates.threshold=0.9.")
    try:
        return step, key.replace("-", "_"), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return step, key.replace("-", "_"), value.strip()


async def _keep(
    catalogue: Catalogue, where: tuple[Version, str], curation: Curation, taken: Taken, tests: Sequence[dict[str, Any]]
) -> Version:
    from stillhouse.data.versions import Step

    source, name = where
    order = {"order": list(curation.steps)}  # which the names of their settings, kept sorted, do not tell
    settings = {**order, "steps": curation.to_json(), **({"against": list(tests)} if tests else {})}
    parents = tuple(dict.fromkeys([source.reference, *(each["name"] for each in tests)]))
    return await catalogue.add(name, taken.kept, Step("curate", parents, settings, taken.counts), taken.dropped)


def _step(curated: Curated) -> dict[str, Any]:
    """What a step did, with examples of what it dropped, as plain values."""
    from stillhouse.data.curation.curated import reason_word

    wanted: dict[str, list[int]] = {}
    for number in sorted(curated.reasons):
        rows = wanted.setdefault(reason_word(curated.reasons[number]), [])
        if len(rows) < EXAMPLES:
            rows.append(number)
    numbers = {number for rows in wanted.values() for number in rows}
    examples: list[dict[str, str]] = []
    for number, item in enumerate(islice(curated.rows, max(numbers, default=-1) + 1)):
        if number in numbers:
            reason = curated.reasons[number]
            examples.append({"id": item.id, "reason": reason, "text": short(item.text), "answer": short(item.words)})
    return {"step": curated.step, "counts": curated.counts, "examples": examples, **curated.found}


def _tell(taken: Taken, steps: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("step", "rows", "dropped", "changed", "what was seen"):
        table.add_column(heading, justify="right" if heading in ("rows", "dropped", "changed") else "left")
    for step in steps:
        counts = step["counts"]
        rest = {key: value for key, value in counts.items() if key not in ("rows", "kept", "changed") and value}
        seen = ", ".join(f"{value:,} {key}" for key, value in rest.items())
        dropped = counts["rows"] - counts["kept"]
        table.add_row(step["step"], f"{counts['rows']:,}", f"{dropped:,}", f"{counts['changed']:,}", seen)
    say = words()
    say.print(table)
    for step in steps:
        for each in step["examples"]:
            answer = f"  →  {each['answer']}" if each["answer"] else ""
            line = f"  {each['id'][:8]}  {each['text']}{answer}  ({each['reason']})"
            say.print(line, markup=False, highlight=False, soft_wrap=True)
    counts = taken.counts
    say.print(f"{counts['kept']:,} of {counts['rows']:,} rows stay.", highlight=False)


def _list(steps: dict[str, str], json: bool) -> None:
    if json:
        emit({"steps": steps})
        return
    for step, says in steps.items():
        words().print(f"{step:16} {says}", markup=False, highlight=False, soft_wrap=True)
