"""`stillhouse data redact` and `reveal`: personal data and secrets taken out of a dataset, or made readable again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import actor, emit, progress, words
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue
from stillhouse.data.personal.span import How
from stillhouse.errors import DataError, UsageError

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.items import Item
    from stillhouse.data.personal.presidio import Presidio
    from stillhouse.data.redact import Redactor
    from stillhouse.data.versions import Version
    from stillhouse.storage.store import Store

__all__ = ["data_redact", "data_reveal"]

EVERY = 1_000
"""Items between two lines of progress."""

DatasetArgument = Annotated[str, typer.Argument(help="name@number, or name for its newest version.")]
ToOption = Annotated[str | None, typer.Option(help="The dataset to make.", show_default="the same name")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key-env",
        help="The environment variable that holds the key: any text of 16 bytes or more.",
        show_default="the project's key in the home folder, made when first needed",
    ),
]


def data_redact(
    dataset: DatasetArgument,
    how: Annotated[How, typer.Option(help="Only the kind, a stand-in, a keyed hash, or sealed by a key.")] = How.REDACT,
    types: Annotated[
        str | None,
        typer.Option(help="Kinds of data, with commas between, or all.", show_default="all but organization, location"),
    ] = None,
    presidio: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Look a second time, with Presidio and this spaCy model: en_core_web_lg, or a folder. Much slower.",
        ),
    ] = None,
    to: ToOption = None,
    key_env: KeyOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Destroy the items of the version that it is made of; its lineage stays.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be found, and change nothing.")] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Take personal data and secrets out of a dataset: a new version, in which they are gone.

    For example: stillhouse data redact support --how pseudonymise --types person,email,phone

    Messages, answers, reasons, labels, tags and metadata are looked through. The version that it is made of stays as
    it is, unless --replace destroys its items, which a legal hold forbids; what else was made of that is left.
    """
    from stillhouse.data.held import refuse_held
    from stillhouse.data.redact import Redactor, parse_types, redacted

    kinds = parse_types([kind.strip() for kind in types.split(",")] if types else [])
    touched: Counter[str] = Counter()
    second = _second(presidio)

    async def work(catalogue: Catalogue, store: Store) -> tuple[Version, Version | None, Redactor]:
        source = await catalogue.find(dataset)
        if replace:
            await refuse_held(store, project, [source])
        key = b"" if how is How.REDACT else bytes(32) if dry_run else _key(key_env, home, project, make=True)
        redactor = Redactor(how, kinds, key, second)
        items = _watched(redacted(catalogue.read(source), redactor, touched), source.items)
        if dry_run:
            for _ in items:
                pass
            return source, None, redactor
        step = _step(
            "redact",
            source,
            {
                "how": how.value,
                "types": sorted(kind.value for kind in kinds),
                **_named(key),
                **({"second": second.name} if second else {}),
            },
            redactor.counts,
        )
        if not replace:
            return source, await catalogue.add(to or source.name, items, step), redactor
        dropped = ((redactor.item(item), reason) for item, reason in catalogue.read_dropped(source))
        version = await catalogue.add(to or source.name, items, step, dropped)
        if version.reference != source.reference:  # else nothing was found, and the newest is what it was
            holds = await refuse_held(store, project, [source])  # again: one may have come meanwhile
            await catalogue.bury(source, version, holds, {"redacted": True})
        await _note(store, "dataset.replaced", project, source, redactor.counts)
        return source, version, redactor

    source, version, redactor = with_catalogue((project, home, database), work)
    found = dict(sorted(redactor.counts.items()))
    told = {"dry_run": dry_run, "of": source.reference, "found": found, "touched": dict(touched), "replaced": replace}
    if json:
        emit({**(version.to_json() if version else {}), **told})
        return
    if version:
        tell_version(version)
    _tell_counts(found, touched, dry_run)
    if version and found:
        state = "is destroyed" if replace else "still holds it all; --replace would have destroyed it"
        words().print(f"{source.reference} {state}.", markup=False, highlight=False)


def data_reveal(
    dataset: DatasetArgument,
    to: ToOption = None,
    key_env: KeyOption = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Make readable again what `redact --how vault` sealed: a new version, in which it stands as before.

    For example: stillhouse data reveal support@2 --to support-open
    """
    from stillhouse.data.sealing import reveal

    counts: Counter[str] = Counter()

    async def work(catalogue: Catalogue, store: Store) -> Version:
        from stillhouse.data.redact import changed_texts

        source = await catalogue.find(dataset)
        key = _key(key_env, home, project, make=False)

        def opened() -> Iterator[Item]:
            for item in catalogue.read(source):
                yield changed_texts(item, lambda text: reveal(text, key, counts))
            if counts["unopened"] and counts["unopened"] == counts.total():
                raise DataError(f"Nothing in {source.reference} was sealed with this key. Give the right one.")

        step = _step("reveal", source, _named(key), counts)
        version = await catalogue.add(to or source.name, _watched(opened(), source.items), step)
        await _note(store, "dataset.revealed", project, source, counts)
        return version

    version = with_catalogue((project, home, database), work)
    if json:
        emit({**version.to_json(), "revealed": dict(sorted(counts.items()))})
        return
    tell_version(version)
    for kind, count in sorted(counts.items()):
        words().print(f"  {kind}  {count}", markup=False, highlight=False)


def _second(model: str | None) -> Presidio | None:
    """Presidio with a spaCy model, where one is named."""
    if model is None:
        return None
    from stillhouse.data.personal.presidio import Presidio

    return Presidio(model)


async def _note(store: Store, action: str, project: str, source: Version, counts: Mapping[str, int]) -> None:
    """Tell the audit log what was made readable, or destroyed."""
    from stillhouse.storage.audit_records import Event

    await store.audit.tell(Event(action, actor(), project, source.reference, details=dict(sorted(counts.items()))))


def _key(variable: str | None, home: Path | None, project: str, make: bool) -> bytes:
    """The key that was given, else the project's."""
    from stillhouse.data.sealing import key_of

    if variable is None:
        return key_of(settings.home(home), project, make)
    key = settings.secret(variable, "the key of redaction").encode()
    if len(key) < 16:
        raise UsageError(f"The key in {variable} has {len(key)} bytes; it must have 16 or more.")
    return key


def _step(verb: str, source: Version, how: Mapping[str, Any], counts: Mapping[str, int]) -> Any:
    from stillhouse.data.versions import Step

    return Step(verb, (source.reference,), how, counts)


def _named(key: bytes) -> dict[str, str]:
    """Which key it was, without telling it."""
    from stillhouse.data.sealing import hashed

    return {"key": hashed("which key", "key", key)} if key else {}


def _watched(items: Iterator[Item], count: int) -> Iterator[Item]:
    """Items, with a line of progress now and then."""
    for number, item in enumerate(items):
        if number and number % EVERY == 0:
            progress().print(f"{number:,} of {count:,} items", highlight=False)
        yield item


def _tell_counts(found: Mapping[str, int], touched: Mapping[str, int], dry_run: bool) -> None:
    say = words()
    total = sum(touched.values())
    verb = "would be" if dry_run else "were"
    say.print(f"{sum(found.values()):,} pieces in {touched.get('changed', 0):,} of {total:,} items {verb} changed:")
    for kind, count in found.items():
        say.print(f"  {kind}  {count:,}", markup=False, highlight=False)
