"""Desk: asks a teacher many questions, each once, within limits and a budget; every answer is on the disk first."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, cast, final

import orjson

from stillhouse.artifacts import hash_bytes
from stillhouse.chat import Usage
from stillhouse.errors import TeacherError, TeacherUnavailable, UsageError
from stillhouse.generation.book import Book, Kept, Scribe
from stillhouse.generation.budget import Budget, Count, Size, measure
from stillhouse.generation.limits import Limits, Pace, Step, advise, reason_of
from stillhouse.generation.questions import Estimate, Question, Reply, Tally
from stillhouse.teachers.api import Heard
from stillhouse.teachers.asking import Failure

__all__ = ["Desk", "Keep", "Line"]

IN_A_ROW = 5
"""So many questions given up with no answer between them, or refused before any answer: asking more is useless."""
GLANCE = 0.5
"""Seconds after which one who waits looks whether there is still something to wait for."""
MOST_WRITTEN = 4096
"""About so many tokens at most are thought to be written where a request sets no limit and nothing is paid."""
MB = 2**20

Keep = Callable[[Reply], Iterable[Question] | None]
"""Takes each reply; the questions that it gives back, if any, are asked as well."""


class Line(Protocol):
    """The way to a teacher: a connection to an API, or a model on this machine."""

    @property
    def address(self) -> str:
        """Who is asked: part of what calls are found by."""
        ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def ask_once(self, body: bytes, key: str, seconds: float) -> Heard | Failure:
        """One attempt."""
        ...


@final
class Desk:
    """Asks one teacher. Calls are found in the book by what they say; those that are not there are sent.

    A call that was answered is never sent again, also after a kill: each carries its digest as Idempotency-Key, by
    which servers that honour such keys answer from memory what was lost on the way.
    """

    def __init__(
        self,
        line: Line,
        book: Book,
        limits: Limits | None = None,
        budget: Budget | None = None,
        count: Count | None = None,
    ) -> None:
        """`count` tells how many tokens a text is for this teacher, where its tokenizer is known."""
        self.line, self.book = line, book
        self.limits, self.budget, self.count = limits or Limits(), budget or Budget(), count

    def ask(self, questions: Iterable[Question], keep: Keep) -> Tally:
        """Ask everything; `keep` is given one reply for each question that was answered or refused.

        Raises TeacherError where asking on is useless (a wrong key or model, no money, five questions in a row without
        an answer), once the answers under way have come. All that was answered is kept: the same call goes on.
        """
        with self.book:
            return asyncio.run(_Round(self, iter(questions), keep).run())

    def find(self, question: Question) -> Reply | None:
        """The reply to a question that was answered or refused before, or is never sent; None for any other."""
        if len(question.body) > self.limits.largest:
            size, most = len(question.body) / MB, self.limits.largest / MB
            return Reply(question.key, refused=f"the question has {size:.0f} MB, and at most {most:.0f} are sent")
        kept = self.book.find(*self.digests(question))
        return None if kept is None else _reply(question.key, kept, cached=True)

    def digests(self, question: Question) -> tuple[str, ...]:
        """What the answer to a question may be found by: books from before have the hash of the body alone."""
        own = question.digest(self.line.address)
        return (own,) if question.again else (own, hash_bytes(question.body))

    def most(self, size: Size) -> Decimal:
        """The most that a call can cost; raises UsageError where there is no such thing."""
        if self.budget.price.is_free:
            return Decimal(0)
        if size.written is None:
            raise UsageError(
                "A call without `max_completion_tokens` can cost anything, so no budget can be kept: set it in the "
                "request, or --max-tokens."
            )
        return self.budget.price.cost(size.most, size.written)

    def estimate(self, questions: Iterable[Question]) -> Estimate:
        """What asking would come to; nothing is sent."""
        price = self.budget.price
        seen: set[str] = set()
        asked = cached = large = read = written = most_tokens = 0
        most = Decimal(0)
        usual = self.book.usual(self.budget.kind)
        for question in questions:
            asked += 1
            digests = self.digests(question)
            if digests[0] in seen or any(digest in self.book for digest in digests):
                cached += 1
                continue
            if len(question.body) > self.limits.largest:
                large += 1
                continue
            seen.add(digests[0])
            size = measure(question.body, self.count)
            most += self.most(size)
            most_written = MOST_WRITTEN if size.written is None else size.written
            read += size.likely
            written += most_written if usual is None else min(round(usual), most_written)
            most_tokens += size.most + most_written
        cost = None if price.is_free else price.cost(read, written)
        spent = self.book.ledger(self.budget.job).spent
        worst = None if price.is_free else most
        measured = usual is not None or not seen
        return Estimate(asked, len(seen), cached, large, read, written, most_tokens, cost, worst, spent, measured)


@final
class _Round:
    """One round of asking: what waits, what is under way, and what has become of the rest."""

    def __init__(self, desk: Desk, questions: Iterator[Question], keep: Keep) -> None:
        self.desk, self.limits, self.questions, self.keep = desk, desk.limits, questions, keep
        self.ledger = desk.book.ledger(desk.budget.job)
        self.pace, self.scribe = Pace(desk.limits), Scribe(desk.book)
        self.more: deque[Question] = deque()
        self.askers: dict[str, list[Question]] = {}
        self.changed = asyncio.Event()
        self.sending = 0
        self.heard, self.in_a_row, self.last_heard = False, 0, time.monotonic()
        self.refusals: list[dict[str, str]] = []
        self.trouble: TeacherError | None = None
        self.counts: Counter[str] = Counter()
        self.stopped: str | None = None
        self.unheard: dict[str, str] = {}

    async def run(self) -> Tally:
        async with self.desk.line:
            workers = [asyncio.create_task(self._work()) for _ in range(self.limits.at_once)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                await self.scribe.close()
        if self.refusals and self.trouble is None:
            self.desk.book.append([*self.refusals])
        if self.trouble is not None:
            raise self.trouble
        counts, ledger = self.counts, self.ledger
        return Tally(
            asked=counts["asked"],
            cached=counts["cached"],
            refused=counts["refused"],
            unheard=self.unheard,
            stopped=self.stopped,
            spent=ledger.spent,
            doubtful=ledger.reserved,
            prompt_tokens=counts["read"],
            completion_tokens=counts["written"],
        )

    @property
    def over(self) -> bool:
        return self.trouble is not None or self.stopped is not None

    async def _work(self) -> None:
        while not self.over:
            question = self._next()
            if question is not None:
                await self._answer(question)
            elif self.askers:  # a reply that is under way may bring more
                await self._change()
            else:
                return

    def _next(self) -> Question | None:
        return self.more.popleft() if self.more else next(self.questions, None)

    async def _answer(self, question: Question) -> None:
        """See that a question is replied to, unless the round ends before."""
        known = self.desk.find(question)
        if known is not None:
            self.counts.update(cached=int(known.cached), refused=int(known.refused is not None))
            self.heard = self.heard or known.refused is None
            self._tell(question, known)
            await asyncio.sleep(0)
            return
        digest = question.digest(self.desk.line.address)
        if digest in self.askers:
            self.askers[digest].append(question)
            return
        self.askers[digest] = [question]
        try:
            kept = await self._ask(digest, question)
        finally:
            askers = self.askers.pop(digest)
            self._tell_change()
        for number, each in enumerate(askers if kept is not None else ()):
            if number:
                self.counts.update(cached=1)
            if kept is not None:
                self.counts.update(refused=int(kept.refused is not None))
                self._tell(each, _reply(each.key, kept, cached=number > 0))

    def _tell(self, question: Question, reply: Reply) -> None:
        follow = self.keep(replace(reply, key=question.key))
        if follow is not None:
            self.more.extend(follow)
            self._tell_change()

    async def _ask(self, digest: str, question: Question) -> Kept | None:
        """What was answered, or why it was refused; None where it was not asked, or not heard."""
        size = measure(question.body, self.desk.count)
        amount, retries = self.desk.most(size), 0
        while await self._may_send(digest, size, amount):
            try:
                outcome = await self._attempt(digest, question.body, amount)
            finally:
                self.sending -= 1
                self._tell_change()
            if isinstance(outcome, Kept):
                return outcome
            advice = advise(self.limits, outcome, retries, self.pace.coolings, random.random())
            if advice.step is Step.RETRY:
                retries += 1
                await self._sleep(advice.wait)
            elif advice.step is Step.COOL:
                self._cool(advice.wait, outcome)
            else:
                return self._give_up(question, digest, advice.step, outcome)
        return None

    async def _may_send(self, digest: str, size: Size, amount: Decimal) -> bool:
        """Wait until a call may begin, and reserve what it may cost; False once nothing is sent any more."""
        tokens = size.likely + (size.written or 0)
        while not self.over:
            wait = self.pace.wait(time.monotonic())
            if self.sending >= self.pace.room:
                await self._change()
            elif wait > 0:
                await asyncio.sleep(min(wait, GLANCE))
            elif self.ledger.fits(amount, self.desk.budget.most):
                self.pace.begin(time.monotonic(), tokens)
                self.ledger.reserve(digest, amount)
                self.sending += 1
                return True
            elif self.sending:  # what it does not need of its reserve is free then
                await self._change()
            else:
                self._stop(amount)
        return False

    def _stop(self, amount: Decimal) -> None:
        """The budget is used up."""
        most, spent, doubtful = self.desk.budget.most, self.ledger.spent, self.ledger.reserved
        lost = f" and at most {doubtful:.4f} was for answers that were lost on the way" if doubtful else ""
        self.stopped = f"the next call may cost {amount:.4f}: of the budget of {most}, {spent:.4f} is spent{lost}"
        self._tell_change()

    async def _attempt(self, digest: str, body: bytes, amount: Decimal) -> Kept | Failure:
        """Send a call once; whatever comes of it is written down before anything else is done."""
        job = self.desk.budget.job
        paid = {"most": str(amount), "job": job}
        if amount:
            await self.scribe.write({"sent": digest, **paid})
        outcome = await self.desk.line.ask_once(body, digest, self.limits.seconds)
        if isinstance(outcome, Heard):
            read = _read(outcome.content)
            if not isinstance(read, Failure):
                return await self._keep(digest, read, amount, outcome.replayed)
            outcome = read
        if amount and not outcome.doubtful:
            self.ledger.release(digest, amount)
            await self.scribe.write({"free": digest, **paid})
        return outcome

    async def _keep(self, digest: str, kept: Kept, amount: Decimal, replayed: bool) -> Kept:
        """An answer, once it is on the disk with what it cost."""
        usage, price = kept.usage, self.desk.budget.price
        cost = amount if usage is None else price.cost(usage.prompt_tokens, usage.completion_tokens)
        self.ledger.settle(digest, amount, cost, replayed)
        refusals, self.refusals = self.refusals, []
        record = {
            "told": digest,
            "most": str(amount),
            "cost": str(cost),
            "job": self.desk.budget.job,
            "kind": self.desk.budget.kind,
            "replayed": replayed,
            "usage": None if usage is None else [usage.prompt_tokens, usage.completion_tokens],
            "choices": kept.choices,
        }
        await asyncio.gather(self.scribe.write(record), *(self.scribe.write(refusal) for refusal in refusals))
        self.pace.answered()
        self.heard, self.in_a_row, self.last_heard = True, 0, time.monotonic()
        read, written = (0, 0) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        self.counts.update(asked=1, read=read, written=written)
        return replace(kept, cost=cost)

    def _cool(self, wait: float, failure: Failure) -> None:
        now = time.monotonic()
        self.pace.cool(now, wait)
        if now + wait - self.last_heard > self.limits.silence:
            words = f"It has answered nothing else for {self.limits.silence:g} s. {reason_of(failure)}"
            self._end(TeacherError(words, failure.error.status, failure.error.body))

    def _give_up(self, question: Question, digest: str, step: Step, failure: Failure) -> Kept | None:
        """The end of a question without an answer; a refusal is written down once the teacher has answered another."""
        reason = reason_of(failure)
        self.in_a_row += 0 if step is Step.REFUSED and self.heard else 1
        if step is Step.USELESS or self.in_a_row >= IN_A_ROW:
            self._end(TeacherError(reason, failure.error.status, failure.error.body))
        if step is Step.REFUSED:
            self.refusals.append({"refused": digest, "reason": reason})
            return None if self.trouble else Kept(refused=reason)
        for each in self.askers[digest]:
            self.unheard[each.key] = reason
        return None

    def _end(self, trouble: TeacherError) -> None:
        self.trouble = self.trouble or trouble
        self._tell_change()

    async def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.over and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, GLANCE))

    async def _change(self) -> None:
        """Wait until something else has happened."""
        await self.changed.wait()

    def _tell_change(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


def _reply(key: str, kept: Kept, cached: bool) -> Reply:
    cost = Decimal(0) if cached else kept.cost
    return Reply(key, kept.choices, kept.usage, cost, cached, kept.refused)


def _read(content: bytes) -> Kept | Failure:
    """The choices and the usage in an answer; a failure, of a call that was paid for perhaps, where there are none."""
    try:
        answer = cast("dict[str, Any]", orjson.loads(content))
        choices = tuple(answer["choices"])
        _ = choices[0]["message"]
    except (ValueError, KeyError, IndexError, TypeError):
        words = "The teacher's answer holds no choice. Is this the base URL of its API?"
        return Failure(TeacherUnavailable(words), doubtful=True)
    usage: Any = answer.get("usage") or {}
    try:
        tokens = Usage(int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0))
    except (KeyError, TypeError, ValueError):
        return Kept(choices)
    return Kept(choices, tokens)
