"""Many questions to real servers: each asked once, paid once, kept before it is told, within the budget."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from stillhouse.errors import DataError, TeacherError, UsageError
from stillhouse.generation.book import Book
from stillhouse.generation.budget import Budget, measure
from stillhouse.generation.desk import Desk
from stillhouse.generation.limits import Limits
from stillhouse.generation.questions import Question, Reply
from stillhouse.teachers.api import Endpoint as Api
from stillhouse.teachers.prices import Price
from tests.gateway.serving import served
from tests.generation.chaos import Chaos
from tests.generation.endpoint import Endpoint

ROOT = Path(__file__).resolve().parents[2]
QUICK = Limits(at_once=4, seconds=5, retries=1, first_wait=0.01)
PRICE = Price(Decimal("2.50"), Decimal(10))
COST = PRICE.cost(20, 5)


def body(words: str, **more) -> bytes:
    content = {"model": "large", "messages": [{"role": "user", "content": words}], "max_completion_tokens": 10, **more}
    return json.dumps(content, sort_keys=True).encode()


def questions(*words: str) -> list[Question]:
    return [Question(text, body(text)) for text in words]


def words_of(reply: Reply) -> str:
    return reply.choices[0]["message"]["content"]


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint(pause=0.05)


@pytest.fixture
def url(endpoint):
    with served(endpoint.app()) as url:
        yield url


@pytest.fixture
def book(tmp_path) -> Book:
    return Book(tmp_path / "book.jsonl")


def test_every_question_is_answered_so_many_at_once(url, endpoint, book):
    replies: list[Reply] = []
    names = [f"question {number}" for number in range(12)]
    tally = Desk(Api(url, "secret"), book, QUICK).ask(questions(*names), replies.append)
    assert {reply.key: words_of(reply) for reply in replies} == {name: name[::-1] for name in names}
    assert (tally.asked, tally.cached, tally.unheard, tally.stopped) == (12, 0, {}, None)
    assert (endpoint.most, len(endpoint.asked)) == (4, 12)
    assert set(endpoint.keys) == {"Bearer secret"}


def test_the_same_call_is_asked_once_and_told_to_all(url, endpoint, book, tmp_path):
    twins = [Question(str(number), body("same")) for number in range(5)]
    replies: list[Reply] = []
    desk = Desk(Api(url), book, QUICK)
    tally = desk.ask(twins, replies.append)
    assert (sorted(reply.key for reply in replies), len(endpoint.asked)) == (list("01234"), 1)
    assert (tally.asked, tally.cached) == (1, 4)
    again = Desk(Api(url), Book(tmp_path / "book.jsonl"), QUICK).ask(twins, replies.append)
    assert (again.asked, again.cached, len(endpoint.asked)) == (0, 5, 1)
    assert {words_of(reply) for reply in replies} == {"emas"}
    other = [Question("x", body("same"), again=1), Question("y", body("same"), again=2)]
    assert desk.ask(other, replies.append).asked == 2


def test_a_reply_may_bring_another_question(url, book):
    heard: list[str] = []

    def keep(reply: Reply) -> list[Question]:
        heard.append(words_of(reply))
        return [Question(reply.key, body(words_of(reply) + "!"))] if len(words_of(reply)) < 6 else []

    Desk(Api(url), book, QUICK).ask(questions("abc", "xyz"), keep)
    assert sorted(heard) == sorted(["cba", "!abc", "!cba!", "!!abc!", "zyx", "!xyz", "!zyx!", "!!xyz!"])


def test_refused_questions_and_unheard_ones_do_not_keep_others_waiting(url, endpoint, book):
    kept: dict[str, Reply] = {}
    words = questions("one", "refuse me", "fail here", "two", "empty-handed")
    desk = Desk(Api(url), book, QUICK)
    tally = desk.ask(words, lambda reply: kept.__setitem__(reply.key, reply))
    assert set(kept) == {"one", "two", "refuse me"}
    assert kept["refuse me"].refused is not None
    assert kept["refuse me"].refused.endswith("status 400. It says: This is against our policy.")
    assert "status 500" in tally.unheard["fail here"]
    assert "holds no choice" in tally.unheard["empty-handed"]
    before = len(endpoint.asked)
    assert desk.ask(words[:2], lambda reply: None).refused == 1
    assert len(endpoint.asked) == before


@pytest.mark.parametrize(
    ("model", "words", "said", "times"),
    [
        ("nobody", "some", r"status 404\. It says: The model nobody does not exist", 1),
        ("large", "refuse", r"status 400\. It says: This is against our policy", 5),
        ("large", "fail", "status 500", 10),
    ],
)
def test_where_asking_on_is_useless_it_ends(url, endpoint, book, model, words, said, times):
    kept: list[Reply] = []
    asked = [Question(str(number), body(f"{words} {number}", model=model)) for number in range(40)]
    with pytest.raises(TeacherError, match=said):
        Desk(Api(url), book, Limits(at_once=1, retries=1, first_wait=0.01)).ask(asked, kept.append)
    assert len(endpoint.asked) == times
    assert all(reply.refused for reply in kept)
    assert len(Book(book.path)) == 0


def test_refusals_after_an_answer_are_kept_however_many(url, book):
    replies: list[Reply] = []
    asked = questions("first", *(f"refuse {number}" for number in range(20)))
    tally = Desk(Api(url), book, Limits(at_once=1)).ask(asked, replies.append)
    assert (tally.asked, tally.refused, len(replies), len(Book(book.path))) == (1, 20, 21, 21)


def test_a_question_that_is_too_large_is_not_sent_and_told(url, endpoint, book):
    replies: dict[str, Reply] = {}
    asked = questions("small", "x" * 50_000_000)
    tally = Desk(Api(url), book, QUICK).ask(asked, lambda reply: replies.__setitem__(reply.key[:5], reply))
    assert replies["xxxxx"].refused == "the question has 48 MB, and at most 32 are sent"
    assert (tally.asked, tally.refused, len(endpoint.asked)) == (1, 1, 1)


def test_what_is_no_request_is_said(url, book):
    with pytest.raises(DataError, match="no chat request"):
        Desk(Api(url), book, QUICK).ask([Question("a", b"[]")], print)


def test_calls_are_spread_over_the_minute(url, endpoint, book):
    started = time.monotonic()
    limits = Limits(at_once=8, per_minute=600)
    Desk(Api(url), book, limits).ask(questions(*"abcdefg"), print)
    assert 0.6 <= time.monotonic() - started < 3


def test_a_teacher_that_throttles_is_left_alone_by_all(book):
    chaos = Chaos(throttles=0.4)
    with served(chaos.app()) as url:
        tally = Desk(Api(url), book, Limits(at_once=8, retries=0, first_wait=0.01)).ask(
            questions(*map(str, range(60))), lambda reply: None
        )
    assert (tally.asked, tally.unheard, set(chaos.bills.values())) == (60, {}, {1})


def test_a_stall_ends_and_is_asked_again(book):
    chaos = Chaos(stalls=0.3)
    with served(chaos.app()) as url:
        limits = Limits(at_once=8, seconds=0.3, first_wait=0.01)
        tally = Desk(Api(url), book, limits, Budget(None, PRICE)).ask(
            questions(*map(str, range(30))), lambda reply: None
        )
    assert (tally.asked, set(chaos.bills.values()), tally.spent, tally.doubtful) == (30, {1}, 30 * COST, 0)


@pytest.mark.parametrize("honours", [True, False])
@pytest.mark.parametrize("cents", ["0.0021", "0.0030", "0.0095"])
def test_a_budget_is_never_passed(book, honours, cents):
    chaos = Chaos(fails=0.1, drops=0.2, honours=honours)
    most = Decimal(cents)
    asked = questions(*(f"q{number}" for number in range(200)))
    with served(chaos.app()) as url:
        desk = Desk(Api(url), book, Limits(at_once=8, retries=30, first_wait=0.001), Budget(most, PRICE, "job"))
        tally = desk.ask(asked, lambda reply: None)
        assert tally.stopped is not None
        assert "of the budget of" in tally.stopped
        assert chaos.billed * COST <= tally.spent + tally.doubtful <= most
        assert desk.ask(asked, lambda reply: None).asked <= 1
        room = most + 5 * desk.most(measure(asked[0].body)) + chaos.billed * COST
        more = Desk(Api(url), Book(book.path), Limits(at_once=8), Budget(room, PRICE, "job"))
        assert more.ask(asked, lambda reply: None).asked >= 5
        assert chaos.billed * COST <= room


def test_the_money_of_one_job_is_not_that_of_another(book):
    chaos = Chaos()
    with served(chaos.app()) as url:
        first = Desk(Api(url), book, QUICK, Budget(Decimal(1), PRICE, "a")).ask(questions("1", "2"), print)
        other = Desk(Api(url), book, QUICK, Budget(Decimal(1), PRICE, "b")).ask(questions("2", "3"), print)
    assert (first.spent, other.spent, other.cached) == (2 * COST, COST, 1)
    assert (first.prompt_tokens, first.completion_tokens) == (40, 10)


def test_a_call_that_can_cost_anything_is_not_made_on_a_budget(url, endpoint, book):
    free = json.dumps({"model": "large", "messages": [{"role": "user", "content": "hello"}]}).encode()
    desk = Desk(Api(url), book, QUICK, Budget(Decimal(1), PRICE))
    for do in (lambda: desk.ask([Question("a", free)], print), lambda: desk.estimate([Question("a", free)])):
        with pytest.raises(UsageError, match="max_completion_tokens"):
            do()
    assert endpoint.asked == []


def test_an_estimate_sends_nothing(book):
    chaos = Chaos()
    asked = questions(*(f"question {number}" for number in range(20)))
    with served(chaos.app()) as url:
        desk = Desk(Api(url), book, QUICK, Budget(None, PRICE))
        before = desk.estimate([*asked, *asked[:3], Question("big", b"x" * 50_000_000)])
        assert (before.questions, before.calls, before.cached, before.too_large, chaos.attempts) == (24, 20, 3, 1, 0)
        assert before.completion_tokens == 200
        desk.ask(asked[:5], lambda reply: None)
        after = desk.estimate(asked)
        spent = desk.ask(asked, lambda reply: None).spent
    assert (after.calls, after.cached, after.completion_tokens, after.spent) == (15, 5, 75, 5 * COST)
    assert after.cost is not None
    assert after.most_cost is not None
    assert 5 * COST < spent <= after.spent + after.most_cost
    assert after.cost < after.most_cost
    assert after.to_json()["tokens"]["written"] == 75
    other = Desk(Api(url), book, QUICK, Budget(None, PRICE, kind="judge")).estimate(questions("another"))
    assert (before.measured, after.measured, other.measured, other.completion_tokens) == (False, True, False, 10)


def killed_and_resumed(folder: Path, rows: int, kills: tuple[int, ...], chaos: Chaos, most: Decimal) -> dict:
    """What the asker said at last, its process having been killed once so many calls had been billed."""
    with served(chaos.app()) as url:
        command = [sys.executable, "-m", "tests.generation.asker", url, str(folder), str(rows), str(most)]
        for billed in kills:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while chaos.billed < billed and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            _, errors = process.communicate()
            assert process.returncode == -signal.SIGKILL, errors.decode()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_accounts(said: dict, rows: int, chaos: Chaos, most: Decimal) -> None:
    assert len(said["answered"]) == rows
    assert all(answer == name[::-1] for name, answer in said["answered"].items())
    assert set(said["times"].values()) == {1}
    assert (len(chaos.bills), set(chaos.bills.values())) == (rows, {1})
    assert Decimal(said["spent"]) == chaos.billed * COST
    assert Decimal(said["spent"]) + Decimal(said["doubtful"]) <= most
    assert chaos.attempts > rows


def test_killed_three_times_every_row_is_answered_once_and_paid_once(tmp_path):
    chaos = Chaos(fails=0.02, throttles=0.01, stalls=0.01, drops=0.01, stall=1.5)
    most = Decimal("0.35")
    said = killed_and_resumed(tmp_path, 500, (100, 230, 400), chaos, most)
    check_accounts(said, 500, chaos, most)


@pytest.mark.slow
def test_so_it_is_with_5000_rows(tmp_path):
    chaos = Chaos(fails=0.02, throttles=0.01, stalls=0.01, drops=0.01, stall=1.5)
    most = Decimal("2.50")
    said = killed_and_resumed(tmp_path, 5000, (1000, 2300, 4000), chaos, most)
    check_accounts(said, 5000, chaos, most)
