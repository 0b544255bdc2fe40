"""Brings a database to the newest form: the steps of `migrations/` that it has not seen, in one transaction."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from stillhouse.errors import StorageError

__all__ = ["NEWEST", "migrate"]

FOLDER = Path(__file__).parent / "migrations"
NEWEST = max(path.name[1:5] for path in FOLDER.glob("v[0-9]*.py"))
"""The number of the newest step."""

LOCK = 5_742_906_817
"""By this number programs that start at the same moment wait for each other on PostgreSQL."""


def migrate(connection: Connection, form: str | None = None) -> bool:
    """Bring the database of a connection, which is in a transaction, to the newest form; whether there was anything.

    `form` names an older step to stop at, for a database that is to be filled in that form. Raises StorageError when
    a newer Stillhouse has written it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    found = _revision(connection)
    if found == (form or NEWEST):
        return False
    if found is not None and found > NEWEST:
        raise StorageError(
            f"The database is of form {found}, and this Stillhouse knows forms up to {NEWEST}: a newer one has "
            "written it. Use that one, or a copy of the database from before."
        )
    _run(connection, form or "head")
    return True


def _revision(connection: Connection) -> str | None:
    """The step a database stands at; read without Alembic, whose import would cost every start a quarter second."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _run(connection: Connection, last: str) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])

    def steps(heads: tuple[str, ...], context: MigrationContext) -> list[MigrationStep]:
        missing = list(script.iterate_revisions(last, heads[0] if heads else "base"))
        return [MigrationStep.upgrade_from_script(script.revision_map, each) for each in reversed(missing)]

    context = MigrationContext.configure(connection, opts={"fn": steps})
    with Operations.context(context):
        context.run_migrations()
