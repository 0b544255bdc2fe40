"""`stillhouse hold`: legal holds: what nothing deletes until they are released."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.console import actor, emit
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption
from stillhouse.cli.kept import Where, group, tell, when, with_store

if TYPE_CHECKING:
    from stillhouse.storage.holds import Hold

__all__ = ["hold"]

hold = group("hold", "Protect what must not be deleted: a project, a subject's calls, or one call.")


@hold.command("place")
def place(
    reason: Annotated[str, typer.Argument(help="Why: shown to whoever wants to delete what it protects.")],
    subject: Annotated[str | None, typer.Option(help="Protect all calls about this subject.")] = None,
    completion: Annotated[str | None, typer.Option(help="Protect this stored call.")] = None,
    project: Annotated[str, typer.Option(help="Whose; all of its calls where nothing else is named.")] = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Protect stored calls from retention, `DELETE`, changes and erasure, and datasets made of them from deletion.

    It holds from now on, also at servers that run, and for calls that come later.

    For example: stillhouse hold place "case 2026-17" --subject user-17
    """

    placed = with_store(
        Where(home, database), lambda store: store.holds.place(project, reason, actor(), subject, completion)
    )
    if json:
        emit(asdict(placed))
    else:
        tell(f"{placed.id} protects {_what(placed)}.")


@hold.command("list")
def list_holds(
    project: Annotated[str | None, typer.Option(help="Only those of this project.", show_default="all")] = None,
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show the holds that there are.

    For example: stillhouse hold list --project default
    """
    holds = with_store(Where(home, database), lambda store: store.holds.all(project))
    if json:
        emit({"holds": [asdict(each) for each in holds]})
        return
    if not holds:
        tell("There are no holds.")
    for each in holds:
        tell(f"{each.id}  {_what(each)}  {each.reason}  {each.actor}  {when(each.created)}")


@hold.command("release")
def release(
    hold_id: Annotated[str, typer.Argument(help="The id of the hold.")],
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """End a hold: what it protected is deleted again as any other, by retention at once if it is too old.

    For example: stillhouse hold release hold_0643f2b1c8d3e9a1b2c3d4e5f60718
    """
    released = with_store(Where(home, database), lambda store: store.holds.release(hold_id, actor()))
    if json:
        emit({"released": released.id})
    else:
        tell(f"{released.id} protects {_what(released)} no more.")


def _what(one: Hold) -> str:
    if one.completion is not None:
        return f"the call {one.completion} of the project {one.project}"
    if one.subject is not None:
        return f"calls about {one.subject} in the project {one.project}"
    return f"all calls of the project {one.project}"
