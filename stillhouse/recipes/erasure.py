"""The erasure of a subject from start to end: found, taken out everywhere, checked, and a receipt signed."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

import orjson

import stillhouse
from stillhouse.data.catalogue import Catalogue
from stillhouse.data.erase_versions import ErasingVersions
from stillhouse.data.erasure import Erasing
from stillhouse.data.receipts import Notary
from stillhouse.data.trace import Trace
from stillhouse.errors import OnHold, UsageError
from stillhouse.recipes.erase_home import WORK, ErasingHome
from stillhouse.recipes.erase_students import Learner, Left, find_learners, mark_learners, write_retraining
from stillhouse.storage.audit_records import Event, anonymous
from stillhouse.storage.store import Store

__all__ = ["Erasure", "Wish"]

Told = Callable[[str], None]

BACKUPS = "backups, and whatever was copied out of this home folder: erase there, or erase again after a restore"
WEIGHTS = "weights of models, which are numbers: the students that learnt from the subject are marked instead"
SIGNALS = "signals of teachers, kept by --keep-signals: they may have been taken of the subject's rows"


@final
@dataclass(frozen=True, slots=True)
class Wish:
    """Whom to erase, and how."""

    subject: str
    project: str = "default"
    withdraw: bool = False
    """Whether students that learnt from the subject may not be served any more."""
    keep_signals: bool = False
    """Whether teachers' signals stay, though nobody can tell of whose rows they are."""
    actor: str = "terminal"
    """Who does it, for the audit log."""

    def __post_init__(self) -> None:
        if not self.subject.strip():
            raise UsageError("Name the subject: --subject ID, as the calling program named it.")


@dataclass(slots=True)
class Plan:
    """What was found before anything was changed; it is kept until the end."""

    calls: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    versions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    home_files: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    caches: list[str] = field(default_factory=list[str])
    learners: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    mentioned: list[str] = field(default_factory=list[str])
    """Files that hold a name that may be a word like any other there: they stay."""
    stood_for: dict[str, str] = field(default_factory=dict[str, str])
    """Versions that earlier erasures destroyed, each with that which took its place and has such rows still."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of the subject."""
        return not (self.calls or sum(self.rows.values()) or self.files or self.versions or self.home_files)


@final
class Erasure:
    """One subject's erasure. What a killed one has left undone, the same again does."""

    def __init__(self, store: Store, home: Path, wish: Wish, tell: Told = lambda words: None) -> None:
        self._store, self._home, self._wish, self._tell = store, home, wish, tell
        self._catalogue = Catalogue(store, home, wish.project)

    async def plan(self) -> dict[str, Any]:
        """What there is of the subject, by kind and number; nothing is changed. Raises OnHold."""
        await self._refuse_held()
        trace = Trace(self._wish.subject)
        await self._learn(trace)
        found = await self._survey(trace)
        return {**found.to_json(), "erased": False}

    async def run(self) -> dict[str, Any]:
        """Erase, and return the signed receipt; raises OnHold, and StorageError where something cannot be reached now.

        Killed in the middle, the same call goes on from where it was.
        """
        await self._refuse_held()
        notary = Notary.open(self._home)
        assert notary is not None
        erasure = await self._store.erasures.begin(
            self._wish.project, notary.subject(self._wish.project, self._wish.subject)
        )
        work = self._home.absolute() / WORK / f"{erasure.id}.work"
        notes = await self._store.erasures.notes(erasure.id)
        if "receipt" in notes:
            return await self._end(erasure.id, notes["receipt"][1], work)
        trace = Trace.load(work)
        if trace is None or "plan" not in notes:
            trace = Trace(self._wish.subject)
            await self._learn(trace)
            found = await self._survey(trace)
            trace.save(work)
            await self._store.erasures.note(erasure.id, "plan", found.to_json())
        else:
            found = Plan(**notes["plan"][1])
        done = await self._erase(trace, found, erasure.id)
        receipt = await self._receipt(notary, erasure.id, erasure.begun, found, done)
        await self._store.erasures.note(erasure.id, "receipt", receipt)
        return await self._end(erasure.id, receipt, work)

    async def _refuse_held(self) -> None:
        hold = await self._store.holds.on_subject(self._wish.project, self._wish.subject)
        if hold is not None:
            raise OnHold(hold.words)

    async def _learn(self, trace: Trace) -> None:
        """Everything that is the subject's, then less what others say as well."""
        rows, versions = self._rows(trace), self._versions(trace)
        await rows.learn()
        await versions.learn()
        await rows.unlearn()
        await versions.unlearn()

    async def _survey(self, trace: Trace) -> Plan:
        wish, home = self._wish, self._home_of(trace)
        found = (await self._rows(trace).survey()).to_json()
        versions = await self._versions(trace).survey()
        counts = found["rows"] | await self._versions(trace).survey_beside()
        self._tell("Looking through the home folder")
        rows = {each.reference: each.rows + each.dropped for each in versions}
        stood_for = await self._versions(trace).stood_for(list(rows))
        rows |= {gone: rows[there] for gone, there in stood_for.items()}
        files = {each["file"]: each["rows"] for each in found["files"]}
        learners = await find_learners(self._store, wish.project, self._home, rows, files)
        plan = Plan(
            calls=found["calls"],
            rows={kind: count for kind, count in counts.items() if count},
            files=found["files"],
            versions=[each.to_json() for each in versions],
            home_files=home.survey(),
            learners=[each.to_json() for each in learners],
            mentioned=await self._mentioned(trace, [learner.folder for learner in learners]),
            stood_for=stood_for,
        )
        if not plan.is_empty:
            plan.caches = [home.shown(path) for path in home.caches(wish.keep_signals)]
        return plan

    async def _erase(self, trace: Trace, found: Plan, erasure: str) -> dict[str, Any]:
        """All that is changed, in an order in which nothing is lost that is needed later: calls last."""
        rows, versions, home = self._rows(trace), self._versions(trace), self._home_of(trace)
        if not found.is_empty:
            home.drop_caches(self._wish.keep_signals)
        unknown = await rows.erase_rows()
        await versions.erase_beside()
        files = await self._files(rows, found, erasure)
        replaced = await self._noted(erasure, "versions", versions.replace, found)
        successors = {each["version"]: each.get("successor") for each in replaced}
        successors |= {gone: successors.get(there) for gone, there in found.stood_for.items()}
        successors |= {each["file"]: each["file"] for each in files if each.get("after")}
        students = await self._students(home, found, erasure, successors)
        home_files = home.erase()
        deleted = await rows.erase_calls()
        keys = await self._store.vault.shred(self._wish.project, self._wish.subject, self._wish.actor)
        self._tell("Cleaning the database")
        cleaned = await self._store.traces.scrub()
        self._tell("Looking for what is left")
        left = home.leftovers()
        still = [each.reference for each in await versions.survey()]
        elsewhere = [each for student in students for each in student.get("files", ())]
        still += [each["file"] for each in elsewhere if each["before"] == each["after"]]  # such as a tokenizer
        return {
            "calls": max(found.calls, deleted),
            "rows": found.rows,
            "answers_of_unknown_calls": unknown,
            "files": files,
            "versions": [{**before, **after} for before, after in zip(found.versions, replaced, strict=True)],
            "home_files": home_files,
            "caches": found.caches,
            "students": students,
            "keys_destroyed": keys,
            "database": cleaned,
            "left": [*left, *still],
            "mentioned": await self._mentioned(trace, [Path(each["folder"]) for each in students]),
        }

    async def _mentioned(self, trace: Trace, students: Iterable[Path]) -> list[str]:
        """Files, also of students elsewhere, that stay though they mention a name that is not unmistakable."""
        elsewhere = [each for each in students if not each.absolute().is_relative_to(self._home.absolute())]
        return [*await self._rows(trace).mentions(), *self._home_of(trace).mentions(elsewhere)]

    async def _files(self, rows: Erasing, found: Plan, erasure: str) -> list[dict[str, Any]]:
        notes = await self._store.erasures.notes(erasure)
        told: list[dict[str, Any]] = []
        for each in found.files:
            step = f"file/{each['file']}"
            if step in notes:
                became: dict[str, Any] | None = notes[step][1]
            else:
                self._tell(f"Writing {each['file']} anew")
                became = await rows.erase_file(each["file"])
                became = became or {"after": None, "deleted": True}
                await self._store.erasures.note(erasure, step, became)
            told.append({"file": each["file"], "purpose": each["purpose"], "rows": each["rows"], "by": each["by"]})
            told[-1] |= {"before": each["sha256"], **became}
        return told

    async def _noted(self, erasure: str, step: str, replace: Any, found: Plan) -> list[dict[str, Any]]:
        replaced = await replace([each["version"] for each in found.versions], erasure)
        await self._store.erasures.note(erasure, step, {"replaced": replaced})
        return cast("list[dict[str, Any]]", replaced)

    async def _students(
        self, home: ErasingHome, found: Plan, erasure: str, successors: Mapping[str, str | None]
    ) -> list[dict[str, Any]]:
        learners = [
            Learner(each["name"], Path(each["folder"]), each["kind"], each["data"], each["rows"], each.get("job"))
            for each in found.learners
        ]
        told = mark_learners(learners, erasure, _utc(time.time()), successors, self._wish.withdraw)
        requests = {
            piece.key[0]: orjson.loads(piece.content)
            async for piece in self._store.traces.pieces(self._wish.project, "job")
        }
        for learner, each in zip(learners, told, strict=True):
            if not each["marked"]:
                continue
            if not learner.folder.absolute().is_relative_to(self._home.absolute()):
                each["files"] = home.clean_bundle(learner.folder)
            request = requests.get(learner.job) if learner.job else None
            folder = self._home.absolute() / WORK / erasure
            left = Left(self._wish.project, successors)
            each["again"] = write_retraining(folder, learner, erasure, left, request)
        return told

    async def _receipt(
        self, notary: Notary, erasure: str, begun: int, found: Plan, done: dict[str, Any]
    ) -> dict[str, Any]:
        left, mentioned = done.pop("left"), done.pop("mentioned")
        missing = [f"{each['name']} in {each['folder']}" for each in done["students"] if not each["marked"]]
        not_reached = [BACKUPS, WEIGHTS, *([SIGNALS] if self._wish.keep_signals else []), *missing]
        named = await self._named_after()
        if named:
            not_reached.append(f"names of datasets ({named}), which hold that of the subject: a name is never changed")
        if not self._store.database.is_sqlite:
            not_reached.append("PostgreSQL's own journal, replicas and archives")
        told: dict[str, Any] = {
            "id": erasure,
            "made_by": f"stillhouse {stillhouse.__version__}",
            "database": await self._store.database.identity(),
            "project": self._wish.project,
            "subject": {"hmac_sha256": notary.subject(self._wish.project, self._wish.subject)},
            "begun": _utc(begun),
            "ended": _utc(time.time()),
            "found_nothing": found.is_empty,
            "touched": done,
            "left": left,
            "mentioned": mentioned,
            "not_reached": not_reached,
        }
        return notary.sign(Trace(self._wish.subject).unnamed(told))

    async def _named_after(self) -> int:
        """How many datasets have the subject's name in theirs."""
        trace = Trace(self._wish.subject)
        return sum(trace.names(name.encode()) for name in {each.name for each in await self._catalogue.list()})

    async def _end(self, erasure: str, receipt: dict[str, Any], work: Path) -> dict[str, Any]:
        """The receipt in the database and as a file, and a line in the audit log, which names nobody; what was known of
        the subject is dropped."""
        for path in work.parent.glob(f"{work.name}*"):
            path.unlink()
        place = work.with_name(f"{erasure}.receipt.json")
        waiting = place.with_name(f".{place.name}.writing")
        waiting.write_bytes(orjson.dumps(receipt, option=orjson.OPT_INDENT_2) + b"\n")
        waiting.replace(place)
        wish = self._wish
        about = anonymous(wish.project, wish.subject)
        counts = {"calls": receipt["touched"]["calls"], "erasure": erasure}
        await self._store.traces.scrub(whole=False)
        await self._store.audit.tell(Event("subject.erased", wish.actor, wish.project, about, details=counts))
        await self._store.erasures.end(erasure, orjson.dumps(receipt))
        return receipt

    def _rows(self, trace: Trace) -> Erasing:
        return Erasing(self._store, self._wish.project, trace, self._tell)

    def _versions(self, trace: Trace) -> ErasingVersions:
        return ErasingVersions(self._store, self._catalogue, trace, self._tell)

    def _home_of(self, trace: Trace) -> ErasingHome:
        return ErasingHome(self._home, trace, self._tell)


def _utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
