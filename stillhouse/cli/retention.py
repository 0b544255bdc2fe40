"""`stillhouse retention`: for how long stored calls are kept, by project, model and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.console import actor, emit
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption
from stillhouse.cli.kept import Where, group, tell, when, with_store
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.storage.retention import Policy
    from stillhouse.storage.store import Store

__all__ = ["retention"]

retention = group("retention", "Say for how long stored calls are kept, by project, model and metadata.")

DAY = 86_400

MOST_DAYS = 1_000_000
"""What is longer is for ever: no policy says so."""


@retention.command("set")
def set_policy(
    days: Annotated[float, typer.Argument(help="Days after which calls are deleted; parts of days are allowed.")],
    model: Annotated[
        str | None, typer.Option(help="Only calls of this model, asked for or answered by.", show_default="all")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="Only calls with this pair of metadata, as KEY=VALUE; several: with all of them."),
    ] = None,
    project: Annotated[str, typer.Option(help="Whose calls.")] = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Keep calls of a project for so many days, in place of an earlier policy for the same calls.

    A call that several policies are about is deleted by the first that lets it go. Servers carry them out every minute,
    beside `--ttl-days`; what is on hold stays.

    For example: stillhouse retention set 30 --metadata use=support
    """
    from stillhouse.storage.records import Wanted

    if not 0 < days <= MOST_DAYS:
        raise UsageError(f"Calls are kept for more than 0 and at most {MOST_DAYS:,} days, not for {days}.")
    wanted = Wanted(model, _pairs(metadata or []) or None)
    policy = with_store(
        Where(home, database), lambda store: store.retention.keep_for(project, round(days * DAY), wanted, actor())
    )
    if json:
        emit(_shown(policy))
    else:
        tell(f"{policy.id}: {_words(policy)}")


@retention.command("show")
def show(
    project: Annotated[str | None, typer.Option(help="Only those of this project.", show_default="all")] = None,
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show the policies that there are.

    For example: stillhouse retention show --json
    """
    policies = with_store(Where(home, database), lambda store: store.retention.policies(project))
    if json:
        emit({"policies": [_shown(each) for each in policies]})
        return
    if not policies:
        tell("There are no policies: calls are kept, unless a server has --ttl-days.")
    for each in policies:
        tell(f"{each.id}: {_words(each)}")


@retention.command("remove")
def remove(
    policy: Annotated[str, typer.Argument(help="The id of the policy.")],
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """End a policy: what it would have deleted is kept.

    For example: stillhouse retention remove keep_0643f2b1c8d3e9a1b2c3d4e5f60718
    """
    gone = with_store(Where(home, database), lambda store: store.retention.forget(policy, actor()))
    if json:
        emit({"removed": gone.id})
    else:
        tell(f"{gone.id} is removed.")


@retention.command("run")
def run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be deleted, and delete nothing.")
    ] = False,
    project: Annotated[str | None, typer.Option(help="Only this project's policies.", show_default="all")] = None,
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Carry the policies out now, or tell what that would do. Killed in the middle, the same command goes on.

    For example: stillhouse retention run --dry-run
    """

    async def work(store: Store) -> list[dict[str, Any]]:
        swept = await store.retention.run(project, actor(), dry_run)
        return [
            {"policy": _shown(each.policy), "before": each.before, "deleted": each.deleted, "held": each.held}
            for each in swept
        ]

    found = with_store(Where(home, database), work)
    if json:
        emit({"dry_run": dry_run, "policies": found})
        return
    if not found:
        tell("There are no policies: nothing is deleted.")
    for each in found:
        done = "would be deleted" if dry_run else "deleted"
        held = f", {each['held']} on hold stay" if each["held"] else ""
        tell(f"{each['policy']['id']}: {each['deleted']} calls from before {when(each['before'])} {done}{held}.")


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        key, sign, value = each.partition("=")
        if not sign or not key:
            raise UsageError(f"--metadata {each!r} is no pair: write KEY=VALUE, such as use=support.")
        pairs[key] = value
    return pairs


def _shown(policy: Policy) -> dict[str, Any]:
    wanted = {"model": policy.wanted.model, "metadata": dict(policy.wanted.metadata or {})}
    return {"id": policy.id, "project": policy.project, "days": policy.seconds / DAY, **wanted}


def _words(policy: Policy) -> str:
    which = [f"of {policy.wanted.model}"] if policy.wanted.model else []
    which += [f"with {key}={value}" for key, value in (policy.wanted.metadata or {}).items()]
    return f"calls of the project {policy.project} {' '.join([*which, ''])}are kept for {policy.seconds / DAY:g} days"
