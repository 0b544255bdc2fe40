"""`stillhouse audit`: what was done by whom: listed, exported, and checked for tampering."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from stillhouse.cli.console import actor, emit
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption
from stillhouse.cli.kept import MasterFile, Where, group, tell, when, with_store
from stillhouse.errors import DataError, UsageError

if TYPE_CHECKING:
    from stillhouse.storage.audit_records import Verdict
    from stillhouse.storage.store import Store

__all__ = ["audit"]

audit = group("audit", "Show what was done by whom, and find out whether anybody tampered with that log.")

HASH = 64
"""Hexadecimal digits of a hash."""


@audit.command("list")
def list_entries(
    project: Annotated[str | None, typer.Option(help="Only what concerns this project.", show_default="all")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only actions that begin so, such as key. or completion.deleted.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 50,
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show the newest entries of the audit log, oldest first.

    For example: stillhouse audit list --action key. --last 10
    """

    async def work(store: Store) -> list[dict[str, Any]]:
        return [entry.shown async for entry in store.audit.entries(project, action, last)]

    entries = with_store(Where(home, database), work)
    if json:
        emit({"entries": entries})
        return
    if not entries:
        tell("The log has no such entries.")
    for entry in entries:
        details = " ".join(f"{name}={value}" for name, value in entry["details"].items())
        parts = [entry["action"], entry["outcome"], entry["actor"], entry["project"], entry["object"], details]
        tell("  ".join([f"{entry['number']:>6}", when(entry["time"] / 1e6), *(part for part in parts if part)]))


@audit.command("verify")
def verify(
    expect: Annotated[
        str | None,
        typer.Option(help="A hash that an earlier check told: fails when the log was cut or written anew since."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Check a file that `audit export` wrote.", show_default="the log itself")
    ] = None,
    home: HomeOption = None,
    database: DatabaseOption = None,
    master_key_file: MasterFile = None,
    json: AsJson = False,
) -> None:
    """Check that no entry was changed, removed, put in or moved; exit code 1 names the first bad one.

    Every entry carries the hash of the one before, so that any change shows from there on. Where calls are encrypted
    (`stillhouse vault`), the end of the log is signed by the master key, so that it cannot be cut or written anew by
    somebody who has only the database. Without that, keep the hash that is told here elsewhere, and give it next time.

    For example: stillhouse audit verify --expect 3f0c...
    """
    expected = _hash(expect)
    verdict = (
        _check_file(file, expected)
        if file
        else with_store(Where(home, database, master_key_file), lambda store: store.audit.verify(expected))
    )
    if json and verdict.is_whole:
        told = {"whole": True, "entries": verdict.count, "hash": verdict.hash.hex(), "signed": verdict.signed}
        emit({**told, "signature_unchecked": verdict.is_unchecked})
        return
    if not verdict.is_whole:
        raise DataError(
            f"The audit log was tampered with: {verdict.reason}. {verdict.count} entries before that are right, "
            f"the last of them has the hash {verdict.hash.hex()}."
        )
    signed = "not signed" if verdict.signed is None else f"signed up to entry {verdict.signed}"
    if verdict.is_unchecked:
        signed = "the signature not checked: that takes the master key (--master-key-file)"
    tell(f"{verdict.count} entries, each as it was written, {signed}.")
    tell(f"Keep this hash elsewhere, for --expect next time: {verdict.hash.hex()}")


@audit.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="The file to write: one JSON object a line.")],
    project: Annotated[str | None, typer.Option(help="Only what concerns this project.", show_default="all")] = None,
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Write the audit log into a file, for whoever keeps such things.

    A whole log can be checked there as well: `stillhouse audit verify --file FILE`. Those of one project lack the
    entries between them, so that they cannot.

    For example: stillhouse audit export audit.jsonl
    """

    async def work(store: Store) -> int:
        count = 0
        waiting = file.with_name(f".{file.name}.partial")
        with waiting.open("wb") as written:
            async for entry in store.audit.entries(project):
                written.write(orjson.dumps(entry.shown, option=orjson.OPT_SORT_KEYS) + b"\n")
                count += 1
        waiting.replace(file)
        await _tell_exported(store, project, count)
        return count

    count = with_store(Where(home, database), work)
    if json:
        emit({"file": str(file), "entries": count})
    else:
        tell(f"{file}: {count} entries.")


async def _tell_exported(store: Store, project: str | None, count: int) -> None:
    from stillhouse.storage.audit_records import Event

    await store.audit.tell(Event("audit.exported", actor(), project or "", details={"entries": count}))


def _hash(text: str | None) -> bytes | None:
    try:
        found = None if text is None else bytes.fromhex(text)
    except ValueError:
        found = b""
    if found is not None and len(found) * 2 != HASH:
        raise UsageError(f"--expect takes a hash of {HASH} hexadecimal digits, as `audit verify` tells one.")
    return found


def _check_file(file: Path, expected: bytes | None) -> Verdict:
    from stillhouse.storage.audit import check_entries

    hashes: list[str] = []

    def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            try:
                found.append(dict(orjson.loads(line)))
            except (ValueError, TypeError) as error:
                raise DataError(f"{file}, line {number}: this is no entry of an audit log ({error}).") from error
            hashes.append(str(found[-1].get("hash")))
        return found

    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    verdict = check_entries(entries())
    if verdict.is_whole and expected is not None and expected.hex() not in hashes:
        raise DataError(f"No entry in {file} has the hash that was expected: it was cut or written anew.")
    return verdict
