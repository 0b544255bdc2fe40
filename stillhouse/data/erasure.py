"""Erasure of a subject: what the database and its files hold of a person is found, counted, and taken out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast, final

import orjson

from stillhouse.data.subjects import NAMES, SUBJECT
from stillhouse.data.trace import ERASED, Trace
from stillhouse.storage.file_records import Blob, StoredFile, Upload
from stillhouse.storage.records import Cut, StoredCompletion, Wanted
from stillhouse.storage.store import Store
from stillhouse.storage.traces import KINDS, Piece

__all__ = ["Erasing", "Found", "Told"]

TOGETHER = 200
"""Calls that are read at once."""

OTHERS = 20_000
"""Calls of others, the newest, that are compared with the subject's words: what they say as well is nobody's."""

TABLES = tuple(kind for kind in KINDS if kind != "version")
"""The kinds of rows that are this module's: versions are the matter of `data/erase_versions.py`."""

BEGINNING = 2**16
"""Bytes of a file by which text is told from the rest: only the rest has zeros."""

WORDS_OF_RUNS = ("datasource_item", "item", "sample", "results", "content", "source")
"""The parts of an eval's JSON that hold rows."""

COMPLETION = re.compile(rb'"id": ?"(chatcmpl-[^"]{1,128})"')
"""The id of an answer."""

Told = Callable[[str], None]
"""Hears what is being done."""


@final
@dataclass(slots=True)
class Found:
    """What there is of a subject beside datasets, by kind and number; of files which, with how many rows."""

    calls: int
    rows: dict[str, int]
    files: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, without a word of the subject."""
        return {"calls": self.calls, "rows": self.rows, "files": list(self.files.values())}


@final
class Erasing:
    """One subject's data in one project: learnt from its calls, then found wherever it was carried, then erased."""

    def __init__(self, store: Store, project: str, trace: Trace, tell: Told) -> None:
        self._store, self._project, self._trace, self._tell = store, project, trace, tell

    async def learn(self) -> None:
        """Fill the trace: with the subject's calls, and rows of files that name the subject or such a call."""
        self._tell("Reading the subject's calls")
        async for call in self.calls():
            self._trace.ids.add(call.id)
            _learn_call(self._trace, call)
        self._tell("Looking through files")
        async for file in self.files():
            with await self._store.files.open(file) as opened:
                for value in _values(opened):
                    if self._trace.why(value) in ("name", "id"):
                        self._trace.learn_value(value)

    async def unlearn(self) -> None:
        """Drop from the trace what others say as well, so that nothing of theirs is taken for the subject's."""
        self._tell("Comparing with what others say")
        ids = await self._store.completions.ids(self._project, Wanted(), most=OTHERS)
        others = [each for each in ids if each not in self._trace.ids]
        for start in range(0, len(others), TOGETHER):
            calls = await self._store.completions.several(self._project, others[start : start + TOGETHER])
            self._trace.forget(b"\n".join(part for call in calls for part in (call.messages, call.answer)))
        async for file in self.files():
            with await self._store.files.open(file) as opened:
                self._trace.forget_common((orjson.dumps(value), self._whose(value)) for value in _values(opened))

    async def survey(self) -> Found:
        """Count what there is, and change nothing."""
        rows: dict[str, int] = {}
        for kind in TABLES:
            self._tell(f"Looking through the table of {kind.replace('_', ' ')}")
            rows[kind] = len([piece async for piece in self._pieces(kind)])
        said = await self._store.traces.said(self._project, self._trace.subject, sorted(self._trace.ids))
        rows |= {kind: max(len(ids), rows[kind]) for kind, ids in said.items()}
        rows["upload"] = len([upload async for upload in self._uploads()])
        rows["saved_filter"] = len(await self._filters())
        files: dict[str, dict[str, Any]] = {}
        async for file in self.files():
            told = await self._rows_of(file)
            if told:
                files[file.id] = {"file": file.id, "purpose": file.purpose, "sha256": file.blob.digest, **told}
        return Found(len([call async for call in self.calls()]), rows, files)

    async def mentions(self) -> list[str]:
        """Files that stay as they are, though they hold the name where it may be a word like any other."""
        found: list[str] = []
        async for file in self.files():
            with await self._store.files.open(file) as opened:
                is_mentioned = self._trace.mentioned_in(opened)
            if is_mentioned and not await self._rows_of(file):
                found.append(file.id)
        return found

    async def erase_rows(self) -> int:
        """Take the subject out of what the database keeps beside calls and files; answers kept to be repeated are
        deleted, and so are filters that are kept; uploads that are not put together yet are cancelled.

        Deleted are also those of calls that were not stored, for nobody can tell whose these were; how many there were.
        """
        unknown = 0
        said = await self._store.traces.said(self._project, self._trace.subject, sorted(self._trace.ids))
        await self._store.traces.forget_said(self._project, said)
        async for upload in self._uploads():
            await self._store.uploads.cancel(self._project, upload)
        for name in await self._filters():
            await self._store.datasets.forget_filter(self._project, name)
        for kind in TABLES:
            self._tell(f"Erasing from the table of {kind.replace('_', ' ')}")
            async for piece in self._pieces(kind):
                content = None if kind == "kept_answer" else orjson.dumps(self._cleaned(piece))
                await self._store.traces.change(piece, content)
        async for piece in self._store.traces.pieces(self._project, "kept_answer"):
            if await self._is_nobodys(piece):
                unknown += 1
                await self._store.traces.change(piece, None)
        return unknown

    async def erase_file(self, file_id: str) -> dict[str, Any] | None:
        """Write a file anew without the subject's rows, or delete it where none is left or it has no rows; what became
        of it. None: it is gone already."""
        file = await self._store.files.get(self._project, file_id)
        if file is None:
            return None
        if self._trace.mentions(file.filename.encode()):
            await self._store.traces.rename_file(self._project, file_id, ERASED)
        told = await self._rows_of(file)
        if not told:
            return {"after": file.blob.digest}
        left = told.get("left", 0)
        if not left:
            await self._store.files.delete(self._project, file_id)
            return {"after": None, "deleted": True}
        with await self._store.files.open(file) as opened:
            rewritten = await self._store.files.rewrite(self._project, file, self._trace.kept_lines(opened, Counter()))
        return {"after": rewritten.blob.digest, "rows_left": left}

    async def erase_calls(self) -> int:
        """Delete the subject's calls and all they are found by; how many there were."""
        self._tell("Deleting calls")
        deleted, some = 0, list[StoredCompletion]()
        async for call in self.calls():
            some.append(call)
            if len(some) == TOGETHER:
                deleted += await self._store.traces.delete_calls(self._project, some)
                some = []
        return deleted + await self._store.traces.delete_calls(self._project, some)

    async def calls(self) -> AsyncIterator[StoredCompletion]:
        """The subject's stored calls, by what they were captured with or by metadata that were given later."""
        wanted = (Wanted(subject=self._trace.subject), Wanted(metadata={SUBJECT: self._trace.subject}))
        ids = {each: None for one in wanted for each in await self._store.completions.ids(self._project, one)}
        found = list(ids)
        for start in range(0, len(found), TOGETHER):
            for call in await self._store.completions.several(self._project, found[start : start + TOGETHER]):
                yield call

    async def files(self) -> AsyncIterator[StoredFile]:
        """Every file of the project."""
        after: str | None = None
        while True:
            page = await self._store.files.page(self._project, None, Cut(100, after, ascending=True))
            for file in page.rows if page else ():
                after = file.id
                yield file
            if not page or not page.has_more:
                return

    async def _uploads(self) -> AsyncIterator[Upload]:
        """Uploads whose parts hold words or the name of the subject."""
        for upload_id in await self._store.traces.pending_uploads(self._project):
            upload = await self._store.uploads.get(self._project, upload_id)
            parts = await self._store.uploads.parts(self._project, upload_id)
            if upload and any([await self._is_in(part.blob) for part in parts.values()]):
                yield upload

    async def _filters(self) -> list[str]:
        """The names of kept filters that name the subject, or look for their words."""
        found: list[str] = []
        for name, content in (await self._store.datasets.filters(self._project)).items():
            said = [name, orjson.loads(content)]
            if self._trace.cleaned(said) != said or self._trace.says(content):
                found.append(name)
        return found

    async def _is_in(self, blob: Blob) -> bool:
        with self._store.files.blobs.open(blob) as opened:
            return bool(self._trace.in_file(opened))

    def _whose(self, value: Any) -> bool | None:
        """Whether a row is the subject's by its names and ids; None where it names nobody."""
        if self._trace.why(value) in ("name", "id"):
            return True
        return False if names_another(value, self._trace.subject) else None

    async def _pieces(self, kind: str) -> AsyncIterator[Piece]:
        """Pieces of a kind that are about the subject."""
        async for piece in self._store.traces.pieces(self._project, kind):
            if self._is_theirs(piece):
                yield piece

    async def _is_nobodys(self, piece: Piece) -> bool:
        """Whether an answer is of calls that were not stored: nobody can tell whose these were."""
        ids = {found.decode() for found in COMPLETION.findall(piece.content)}
        return bool(ids) and ids.isdisjoint(await self._store.traces.whose(self._project, list(ids)))

    def _is_theirs(self, piece: Piece) -> bool:
        try:
            return self._trace.why(orjson.loads(piece.content)) is not None
        except ValueError:  # a stream of events, or no JSON at all
            known = any(each.encode() in piece.content for each in self._trace.ids)
            return known or self._trace.says(piece.content) or self._trace.names(piece.content)

    def _cleaned(self, piece: Piece) -> Any:
        value: Any = orjson.loads(piece.content)
        if piece.kind != "eval_item" or not isinstance(value, dict):
            return self._trace.cleaned(value)
        parts = cast("dict[str, Any]", value)
        return {key: self._trace.blank(each) if key in WORDS_OF_RUNS else each for key, each in parts.items()}

    async def _rows_of(self, file: StoredFile) -> dict[str, Any]:
        """How many rows of a file are about the subject, by the reason, and how many are left; nothing: none.

        A file without rows is theirs as a whole where it holds their words, or a name that is nobody else's.
        """
        told: Counter[str] = Counter()
        with await self._store.files.open(file) as opened:
            has_lines = _is_text(opened)
            left = sum(1 for _ in self._trace.kept_lines(opened, told)) if has_lines else 0
        if told:
            return {"rows": sum(told.values()), "by": dict(told), "left": left}
        with await self._store.files.open(file) as opened:  # what has no lines, or words over several
            seen = self._trace.in_file(opened)
        if has_lines or not self._trace.is_unmistakable:
            seen -= {"name"}
        return {"rows": 0, "by": dict.fromkeys(sorted(seen), 1), "left": 0} if seen else {}


def names_another(value: Any, subject: str) -> bool:
    """Whether a row says that it is about somebody else."""
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, Any]", value)
        named = [parts[key] for key in (SUBJECT, *NAMES) if isinstance(parts.get(key), str) and parts[key]]
        inner = any(names_another(parts.get(key), subject) for key in ("facts", "metadata", "item"))
        return (bool(named) and subject not in named) or inner
    return False


def _learn_call(trace: Trace, call: StoredCompletion) -> None:
    trace.learn_value(orjson.loads(call.messages))
    answer: dict[str, Any] = orjson.loads(call.answer)
    choices: list[dict[str, Any]] = answer.get("choices") or []
    trace.learn_value([choice.get("message") for choice in choices])


def _is_text(file: BinaryIO) -> bool:
    """Whether a file has lines that can be left out one by one."""
    begin = file.read(BEGINNING)
    file.seek(0)
    return b"\0" not in begin


def _values(file: BinaryIO) -> Iterator[Any]:
    """The rows of a file of JSON lines; lines that are none are passed over."""
    for line in file:
        try:
            yield orjson.loads(line)
        except ValueError:
            continue
