"""What the verbs of `stillhouse generate` that work item by item have in common: a version in, a version out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from stillhouse.cli.console import emit, progress
from stillhouse.cli.data_home import Place, tell_version, with_catalogue
from stillhouse.cli.display import Display
from stillhouse.cli.generate_desk import Who, check_whole, tell_estimate, tell_tally
from stillhouse.data.items import Media
from stillhouse.data.parquet import read_items
from stillhouse.data.versions import Step
from stillhouse.generation.desk import Desk
from stillhouse.generation.flows import Begin, Made, ask_all, estimate
from stillhouse.storage.file_records import Blob
from stillhouse.training.events import Progress, StageStarted

if TYPE_CHECKING:
    from stillhouse.data.catalogue import Catalogue
    from stillhouse.data.items import Item
    from stillhouse.data.versions import Version
    from stillhouse.generation.inquiry import ReadMedia
    from stillhouse.generation.questions import Tally
    from stillhouse.storage.store import Store

__all__ = ["Source", "Work", "add_version", "find_source"]


@final
@dataclass(frozen=True, slots=True)
class Source:
    """A version of a dataset that a teacher is asked about."""

    version: Version
    read_media: ReadMedia

    def items(self) -> Iterable[Item]:
        """Its items, from the first, whenever this is called."""
        return read_items(self.version.path)


@final
@dataclass(frozen=True, slots=True)
class Work:
    """Everything that one verb does: who is asked about what, and what becomes of it."""

    desk: Desk
    who: Who
    source: Source
    begin: Begin
    step: Step
    """Its counts are filled by what is made."""

    def show_estimate(self, json: bool) -> None:
        """What it would come to."""
        found = estimate(self.desk, self.source.items, self.begin)
        if json:
            told = {"teacher": self.who.name, "model": self.who.model, "items": self.source.version.items}
            emit({**told, **found.to_json(), "dry_run": True})
        else:
            tell_estimate(found, self.who)

    def do(self, place: Place, out: str, json: bool, partial: bool) -> Version:
        """Ask, and keep what came of it as a version; tell of both.

        Raises TeacherError where not all was answered, unless the work may be `partial`.
        """
        tally = self._ask()
        check_whole(tally, partial)
        made = Made(self.desk, self.source.items, self.begin)
        step = Step(self.step.verb, self.step.parents, self.step.settings, made.counts)
        version = add_version(place, out, made.items(), step, made.dropped)
        self.tell(tally, version, json)
        return version

    def tell(self, tally: Tally, version: Version, json: bool) -> None:
        """What asking came to and the version that was made."""
        told = tell_tally(tally, self.who.model)
        if json:
            emit({**version.to_json(), "asking": told})
            return
        tell_version(version)
        for reason, count in sorted(version.step.counts.items()):
            progress().print(f"  {count:,} {reason}", markup=False, highlight=False)

    def _ask(self) -> Tally:
        total = self.source.version.items
        with Display(progress()) as display:
            display(StageStarted("ask", f"{self.who.model} answers"))

            def heard(done: int) -> None:
                display(Progress("ask", done, total, self._note()))

            return ask_all(self.desk, self.source.items, self.begin, heard)

    def _note(self) -> str:
        budget = self.desk.budget
        if budget.price.is_free:
            return ""
        spent = self.desk.book.ledger(budget.job).spent
        return f"{spent:.4f} spent" if budget.most is None else f"{spent:.4f} of {budget.most} spent"


def find_source(place: Place, dataset: str) -> Source:
    """The version that a reference names; raises UsageError."""

    async def work(catalogue: Catalogue, store: Store) -> Source:
        version = await catalogue.find(dataset)
        blobs = store.files.blobs

        def read(media: Media) -> bytes:
            with blobs.open(Blob(media.digest, media.bytes)) as file:
                return file.read()

        return Source(version, read)

    return with_catalogue(place, work)


def add_version(
    place: Place, name: str, items: Iterable[Item], step: Step, dropped: Iterable[tuple[Item, str]]
) -> Version:
    """A new version of a dataset."""

    async def work(catalogue: Catalogue, store: Store) -> Version:
        return await catalogue.add(name, items, step, dropped)

    return with_catalogue(place, work)
