"""Store: a database with its one writer, and what is kept in it."""

from __future__ import annotations

from pathlib import Path
from typing import final

from stillhouse.storage.answers import Answers
from stillhouse.storage.audit import Audit
from stillhouse.storage.blobs import Blobs
from stillhouse.storage.completions import Completions
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.datasets import Datasets
from stillhouse.storage.erasures import Erasures
from stillhouse.storage.eval_items import EvalItems
from stillhouse.storage.eval_runs import EvalRuns
from stillhouse.storage.evals import Evals
from stillhouse.storage.feedback import FeedbackBook
from stillhouse.storage.files import Files
from stillhouse.storage.holds import Holds
from stillhouse.storage.jobs import Jobs
from stillhouse.storage.keys import Keys
from stillhouse.storage.master_key import MasterKeys
from stillhouse.storage.records import Durability
from stillhouse.storage.retention import Retention
from stillhouse.storage.reviews import Reviews
from stillhouse.storage.terms import TeacherTerms
from stillhouse.storage.traces import Traces
from stillhouse.storage.tuned import Tuned
from stillhouse.storage.uploads import Uploads
from stillhouse.storage.vault import Vault
from stillhouse.storage.vault_passes import VaultPasses
from stillhouse.storage.work import Orders, Workers
from stillhouse.storage.writer import Writer

__all__ = ["Store"]

BLOBS = "blobs"
"""The folder in the home folder in which the bytes of files lie, those of each database in a folder of their own."""


@final
class Store:
    """Everything that is kept. It belongs to one event loop."""

    def __init__(self, database: Database, writer: Writer, blobs: Blobs, masters: MasterKeys) -> None:
        self.database, self.writer = database, writer
        self.audit = Audit(database, writer, masters)
        self.vault = Vault(database, writer, masters, self.audit)
        self.vault_passes = VaultPasses(database, writer, self.vault, self.audit)
        self.holds = Holds(database, writer, self.audit)
        self.completions = Completions(database, writer, self.vault, self.audit)
        self.keys = Keys(database, writer, self.audit)
        self.retention = Retention(database, writer, self.audit)
        self.jobs, self.tuned = Jobs(database, writer, self.audit), Tuned(database, writer)
        self.orders, self.workers = Orders(database, writer), Workers(database, writer)
        self.files = Files(database, writer, blobs)
        self.uploads = Uploads(database, writer, self.files)
        self.evals, self.eval_runs = Evals(database, writer), EvalRuns(database, writer, self.vault)
        self.eval_items = EvalItems(database, writer, self.vault)
        self.answers = Answers(database, writer, self.vault)
        self.datasets = Datasets(database, writer, self.audit)
        self.feedback = FeedbackBook(database, writer, self.vault)
        self.reviews = Reviews(database, writer, self.vault)
        self.erasures, self.traces = Erasures(database, writer), Traces(database, writer, self.vault)
        self.teacher_terms = TeacherTerms(database, writer, self.audit)

    @classmethod
    async def open(
        cls,
        url: str | None,
        home: Path,
        durability: Durability = Durability.BATCH,
        master_file: Path | None = None,
    ) -> Store:
        """Open a database by its URL, or the file in the home folder; raises UsageError and StorageError.

        `master_file` is where the master key lies, unless the environment or the home folder have it.
        """
        database = await Database.open(database_url(url, home))
        folder = home.absolute() / BLOBS / await database.identity()
        return cls(database, Writer(database, durability), Blobs(folder), MasterKeys(home, master_file))

    async def tidy(self, thorough: bool = False) -> None:
        """Remove what has expired, and what programs left that were killed; `thorough` looks at all bytes of files."""
        await self.uploads.tidy()
        await self.files.tidy(thorough)
        await self.answers.tidy()

    async def close(self) -> None:
        """Write what waits and close the connections."""
        await self.writer.close()
        await self.database.close()
