"""`stillhouse erase`: a person's data taken out of everything that is kept, with a signed receipt."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import actor, emit, progress, words
from stillhouse.errors import DataError, StorageError, UsageError

__all__ = ["Action", "erase"]


class Action(StrEnum):
    """What is done."""

    SUBJECT = "subject"
    VERIFY = "verify"
    LIST = "list"


def erase(
    action: Annotated[
        Action,
        typer.Argument(help="Erase a subject, verify a receipt, or list erasures.", show_default="subject"),
    ] = Action.SUBJECT,
    receipt: Annotated[Path | None, typer.Argument(help="The receipt to verify.", show_default=False)] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            help="Whom to erase: the value of metadata.subject, else of user or safety_identifier, in the calls."
        ),
    ] = None,
    project: Annotated[str, typer.Option(help="In which project.")] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what there is; change nothing.")] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Do not serve students any more that learnt from the subject.")
    ] = False,
    keep_signals: Annotated[
        bool,
        typer.Option("--keep-signals", help="Keep teachers' signals, though nobody can tell whose rows they are of."),
    ] = False,
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="The database that the server keeps calls in.",
            show_default="STILLHOUSE_DATABASE, else stillhouse.db in the home folder",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object: the plan, or the receipt.")] = False,
) -> None:
    """Erase a person: calls, files, evals, datasets, caches; mark the students that learnt from them.

    Versions of datasets that lose rows are replaced by successors without the person. For each student that learnt from
    the person a recipe is written that trains it again on what is left. Killed in the middle, the same command goes on.
    A legal hold refuses. The receipt, signed and without a word of the person, lies in `erasures/` of the home folder.

    Example: stillhouse erase --subject user-17 --dry-run, then the same without --dry-run.
    Check a receipt: stillhouse erase verify RECEIPT [--subject user-17]
    """
    if (action == Action.VERIFY) != (receipt is not None):
        raise UsageError("`stillhouse erase verify RECEIPT` takes a receipt, and only that does.")
    if action == Action.VERIFY and receipt is not None:
        _show(_verified(receipt, settings.home(home), project, subject), json, _tell_verified)
        return
    if action == Action.LIST:
        _show(asyncio.run(_listed(settings.home(home), settings.database(database))), json, _tell_list)
        return
    if not subject:
        raise UsageError("Name the subject: stillhouse erase --subject ID")
    result = asyncio.run(_erased((subject, project), (withdraw, keep_signals, dry_run), (home, database)))
    _show(result, json, _tell_plan if dry_run else _tell_receipt)
    if result.get("left"):
        raise StorageError(
            f"Something of the subject may be left in {', '.join(result['left'][:8])}. "
            "Remove it there, or end whatever writes it, and give the same command again."
        )


async def _erased(
    who: tuple[str, str], how: tuple[bool, bool, bool], where: tuple[Path | None, str | None]
) -> dict[str, Any]:
    from stillhouse.recipes.erasure import Erasure, Wish
    from stillhouse.storage.store import Store

    (subject, project), (withdraw, keep_signals, dry_run), (home, database) = who, how, where
    console = progress()
    folder = settings.home(home)
    store = await Store.open(settings.database(database), folder, master_file=settings.master_key_file())
    try:
        with console.status("Erasing") as status:
            wish = Wish(subject, project, withdraw, keep_signals, actor())
            erasure = Erasure(store, folder, wish, lambda told: status.update(told))
            return await (erasure.plan() if dry_run else erasure.run())
    finally:
        await store.close()


async def _listed(home: Path, database: str | None) -> dict[str, Any]:
    from stillhouse.storage.store import Store

    store = await Store.open(database, home)
    try:
        return {
            "erasures": [
                {
                    "id": each.id,
                    "project": each.project,
                    "subject": each.subject,
                    "begun": each.begun,
                    "ended": each.ended,
                    "receipt": f"{home}/erasures/{each.id}.receipt.json" if each.ended else None,
                }
                for each in await store.erasures.all()
            ]
        }
    finally:
        await store.close()


def _verified(place: Path, home: Path, project: str, subject: str | None) -> dict[str, Any]:
    from stillhouse.data.receipts import Notary, check_receipt, read_receipt

    receipt = read_receipt(place)
    key = check_receipt(receipt)
    notary = Notary.open(home, make=False)
    ours = notary is not None and notary.public == key
    told: dict[str, Any] = {"id": receipt["id"], "valid": True, "public_key": key, "made_here": ours}
    if subject is not None:
        if notary is None or not ours:
            raise UsageError(
                f"Only the home folder that made the receipt can tell whose it is; {home} has another key."
            )
        if notary.subject(receipt.get("project", project), subject) != receipt["subject"]["hmac_sha256"]:
            raise DataError("The receipt is whole, but it is of another subject.")
        told["subject"] = True
    return told


def _show(result: dict[str, Any], json: bool, tell: Any) -> None:
    if json:
        emit(result)
    else:
        for line in tell(result):
            words().print(line, markup=False, highlight=False, soft_wrap=True)


def _tell_plan(plan: dict[str, Any]) -> list[str]:
    lines = [f"{plan['calls']} calls"]
    lines += [f"{count} rows of {kind.replace('_', ' ')}" for kind, count in plan["rows"].items()]
    lines += [f"{each['rows']} rows of the file {each['file']} ({each['purpose']})" for each in plan["files"]]
    lines += [
        f"{each['rows']} of {each['items_before']} items of {each['version']}, {each['rows_dropped']} of those left out"
        for each in plan["versions"]
    ]
    lines += [f"{place} ({', '.join(seen)})" for place, seen in plan["home_files"].items()]
    lines += [f"{each['name']} learnt from {each['data']}" for each in plan["learners"]]
    lines += [f"{len(plan['caches'])} folders of stages and signals would go"] if plan["caches"] else []
    lines += _tell_mentioned(plan)
    return [*lines, "Nothing was erased: this was a dry run."]


def _tell_receipt(receipt: dict[str, Any]) -> list[str]:
    done = receipt["touched"]
    if receipt["found_nothing"]:
        told = ["There was nothing of this subject.", *_tell_mentioned(receipt)]
        return [*told, f"The receipt: erasures/{receipt['id']}.receipt.json"]
    lines = [f"Erased: {done['calls']} calls, {sum(done['rows'].values())} rows of other tables."]
    lines += [f"{each['file']}: {'written anew' if each.get('after') else 'deleted'}" for each in done["files"]]
    lines += [f"{each['version']} is now {each['successor'] or 'empty'}" for each in done["versions"]]
    for each in done["students"]:
        lines.append(f"{each['name']} learnt from the subject" + (", withdrawn" if each["withdrawn"] else ", marked"))
        lines += [f"  again without: {each['again']}"] if each.get("again") else []
    lines += [f"Not reached: {each}" for each in receipt["not_reached"]]
    lines += _tell_mentioned(receipt)
    return [*lines, f"The receipt: erasures/{receipt['id']}.receipt.json"]


def _tell_mentioned(result: dict[str, Any]) -> list[str]:
    """Files that stay, since a bare word or number may mean something else there."""
    places = result.get("mentioned", ())
    return [f"{place} mentions the name, and stays: look whether it means the subject" for place in places]


def _tell_list(result: dict[str, Any]) -> list[str]:
    if not result["erasures"]:
        return ["Nobody was erased here yet."]
    return [
        f"{each['id']}  {each['project']}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(each['begun']))}  "
        + (each["receipt"] or "not ended: give the same command again")
        for each in result["erasures"]
    ]


def _tell_verified(result: dict[str, Any]) -> list[str]:
    whose = "by this home folder" if result["made_here"] else f"by another home folder, with {result['public_key']}"
    about = " It is of this subject." if result.get("subject") else ""
    return [f"{result['id']}: whole as it was signed, {whose}.{about}"]
