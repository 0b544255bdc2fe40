"""`stillhouse vault`: encrypts what is kept of calls, and changes the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from stillhouse.cli.console import actor, emit, progress
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption
from stillhouse.cli.kept import MasterFile, Where, group, tell, when, with_store
from stillhouse.cli.transfer import Transfer

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["vault"]

vault = group("vault", "Encrypt what is kept of calls, and change the keys.")

Scrub = Annotated[
    bool,
    typer.Option(
        "--scrub/--no-scrub",
        help="Write the database anew at the end, so that its free pages and journal hold no words either; servers "
        "wait meanwhile.",
    ),
]


@vault.command("init")
def init(
    home: HomeOption = None, database: DatabaseOption = None, master_key_file: MasterFile = None, json: AsJson = False
) -> None:
    """Begin to encrypt the words of stored calls, kept answers and eval rows.

    A master key is made, unless STILLHOUSE_MASTER_KEY or the file hold one. Whoever loses it loses all that was
    encrypted: keep a copy of it apart from the backups, which never hold it. Servers that run begin within two seconds,
    if they can read it. What was kept before stays as it is until `stillhouse vault encrypt`.

    For example: stillhouse vault init --master-key-file /run/secrets/stillhouse.key
    """

    async def work(store: Store) -> dict[str, Any]:
        master = await store.vault.make(actor())
        return {"master": master, "where": store.vault.masters.where}

    made = with_store(Where(home, database, master_key_file), work)
    if json:
        emit(made)
        return
    tell(f"What is kept from now on is encrypted. The master key {made['master']} is in {made['where']}.")
    tell("Keep a copy of it elsewhere: without it nothing of that can be read, and no backup holds it.")
    tell("What was kept before: stillhouse vault encrypt")


@vault.command("status")
def status(
    home: HomeOption = None, database: DatabaseOption = None, master_key_file: MasterFile = None, json: AsJson = False
) -> None:
    """Show whether calls are encrypted, with which master key, how many keys there are, and what is in the clear.

    For example: stillhouse vault status --json
    """

    async def work(store: Store) -> dict[str, Any]:
        found = await store.vault.status()
        if found is None:
            return {"on": False}
        passing = None if found.passing is None else orjson.loads(found.passing)
        return {
            "on": True,
            "master": found.master,
            "created": found.created,
            "master_key_found": found.has_master,
            "where": store.vault.masters.where,
            "keys": found.keys,
            "retired": found.retired,
            "destroyed": found.destroyed,
            "in_the_clear": await store.vault_passes.unsealed(),
            "rows_of_unfinished_pass": passing and passing["rows"],
        }

    found = with_store(Where(home, database, master_key_file), work)
    if json:
        emit(found)
    elif not found["on"]:
        tell("Nothing is encrypted. `stillhouse vault init` begins it.")
    else:
        here = f"found in {found['where']}" if found["master_key_found"] else f"NOT found in {found['where']}"
        keys = ", ".join(f"{number} of a {kind}" for kind, number in sorted(found["keys"].items())) or "none yet"
        tell(f"Encrypted since {when(found['created'])} with the master key {found['master']}, which is {here}.")
        tell(f"Keys in use: {keys}; {found['retired']} that only open; {found['destroyed']} destroyed.")
        if found["rows_of_unfinished_pass"] is not None:
            tell("A pass over all rows has not ended: `stillhouse vault encrypt` goes on with it.")
        if found["in_the_clear"]:
            tell(f"{found['in_the_clear']:,} bodies are kept in the clear: `stillhouse vault encrypt` encrypts them.")


@vault.command("encrypt")
def encrypt(
    scrub: Scrub = True,
    home: HomeOption = None,
    database: DatabaseOption = None,
    master_key_file: MasterFile = None,
    json: AsJson = False,
) -> None:
    """Encrypt what was kept before, and with new keys what old ones have encrypted.

    Servers may go on; just after `vault init` it waits for them, up to three seconds. Ctrl-C and kill do no
    harm: the same command goes on where it was.

    For example: stillhouse vault encrypt
    """
    _finish(_encrypted(Where(home, database, master_key_file), scrub, retire=False), json)


@vault.command("rotate")
def rotate(
    data_keys: Annotated[
        bool, typer.Option("--data-keys", help="Change the keys of subjects and months, and encrypt all rows anew.")
    ] = False,
    scrub: Scrub = True,
    home: HomeOption = None,
    database: DatabaseOption = None,
    master_key_file: MasterFile = None,
    json: AsJson = False,
) -> None:
    """Change the master key, or all data keys.

    A new master key takes the old one's place in its file, and all data keys are encrypted with it; no row is touched.
    Where it comes from STILLHOUSE_MASTER_KEY, put the new one in front of the old one there first, with a comma. Both
    may be killed: the same command goes on (of --data-keys, `stillhouse vault encrypt`). Older backups need the key of
    their time: keep it as long as them.

    For example: stillhouse vault rotate, or: stillhouse vault rotate --data-keys
    """
    where = Where(home, database, master_key_file)
    if data_keys:
        _finish(_encrypted(where, scrub, retire=True), json)
        return

    async def work(store: Store) -> dict[str, Any]:
        new, closed = await store.vault_passes.change_master(actor())
        return {"master": new.id, "where": store.vault.masters.where, "keys": closed}

    changed = with_store(where, work)
    if json:
        emit(changed)
    else:
        tell(f"The master key is {changed['master']} in {changed['where']} now; {changed['keys']} keys are under it.")
        tell("Keep a copy of it elsewhere, and the old one as long as backups from before.")


def _encrypted(where: Where, scrub: bool, retire: bool) -> dict[str, Any]:
    async def work(store: Store) -> dict[str, Any]:
        retired = await store.vault_passes.retire_keys(actor()) if retire else 0
        with Transfer(progress(), unit="rows") as told:
            passed = await store.vault_passes.encrypt(actor(), lambda rows: told("Encrypting", rows))
        scrubbed = await store.traces.scrub() if scrub else None
        found = {"rows": passed.rows, "encrypted": passed.sealed, "keys_dropped": passed.dropped}
        return {**found, "keys_retired": retired, "scrubbed": scrubbed}

    return with_store(where, work)


def _finish(found: dict[str, Any], json: bool) -> None:
    if json:
        emit(found)
        return
    tell(f"{found['rows']} rows looked at, {found['encrypted']} bodies encrypted.")
    if found["keys_retired"]:
        tell(f"{found['keys_retired']} keys only open from now on; a day later the next pass removes them.")
    left = "The free pages and the journal of the database may still hold words in the clear."
    tell(f"The database was cleaned: {found['scrubbed']}." if found["scrubbed"] else left)
