"""Who is meant, what that costs, and within which limits it is asked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stillhouse.cli.generate_desk import Wish, check_whole, find_teacher, limit, open_desk, tell_tally
from stillhouse.errors import TeacherError, UsageError
from stillhouse.generation.questions import Tally
from stillhouse.teachers.prices import Price

FILE = """
[teachers.desk]
base_url = "http://localhost:8001/v1"
models = { large = "Qwen/Qwen3-8B" }
price_in = 2.5
price_out = 10
timeout = 77
[teachers.open]
base_url = "https://api.openai.com/v1"
key_env = "SOME_KEY"
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "stillhouse.toml").write_text(FILE)
    return tmp_path


def test_a_teacher_is_named_in_three_ways(home, tmp_path):
    desk = find_teacher(Wish(teacher="desk"), home)
    assert (desk.name, desk.model, desk.url, desk.seconds) == ("desk", "Qwen/Qwen3-8B", "http://localhost:8001/v1", 77)
    assert desk.price == Price(Decimal("2.5"), Decimal(10))
    far = find_teacher(Wish(teacher="http://localhost:9", model="m", key_env="K"), home)
    assert (far.name, far.model, far.url, far.key_env, far.price) == ("m", "m", "http://localhost:9", "K", None)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    near = find_teacher(Wish(teacher=str(tmp_path / "model")), home)
    assert (near.name, near.folder, near.price) == ("model", tmp_path / "model", Price())
    (tmp_path / "model" / "config.json").write_text("{ }")
    assert find_teacher(Wish(teacher=str(tmp_path / "model")), home).url != near.url


def test_prices_are_those_of_the_options_then_of_the_file_then_of_the_list(home):
    listed = find_teacher(Wish(teacher="open", model="gpt-4o-mini"), home)
    assert listed.price == Price(Decimal("0.15"), Decimal("0.60"))
    assert "list of 2025" in (listed.note or "")
    own = find_teacher(Wish(teacher="open", model="gpt-4o-mini", price_in=0.1), home)
    assert (own.price, own.note) == (Price(Decimal("0.1"), Decimal("0.60")), None)
    assert find_teacher(Wish(teacher="desk", price_out=1.0), home).price == Price(Decimal("2.5"), Decimal(1))
    assert find_teacher(Wish(teacher="open", model="unheard-of"), home).price is None


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(teacher="dsek"), r"there are: desk, open"),
        (Wish(teacher="open"), "Choose one of the models"),
        (Wish(teacher="http://localhost:9"), "needs --model"),
        (Wish(teacher="http://me:word@localhost:9", model="m"), r"^--teacher holds a user or a password, (?!.*word@)"),
        (Wish(teacher="http://localhost:9/v1?key=word", model="m"), "^--teacher holds a key, in its parameter 'key'"),
    ],
)
def test_what_is_not_clear_is_refused(home, wish, said):
    with pytest.raises(UsageError, match=said):
        find_teacher(wish, home)


def test_a_desk_has_the_limits_the_budget_and_the_job(home, monkeypatch):
    wish = Wish(teacher="desk", budget=0.1, at_once=3, per_minute=60)
    desk = open_desk(wish, find_teacher(wish, home), home, ["label", 1])
    other = open_desk(wish, find_teacher(wish, home), home, ["label", 2])
    assert (desk.limits.at_once, desk.limits.per_minute, desk.limits.seconds) == (3, 60, 77)
    assert (desk.budget.most, desk.budget.job == other.budget.job) == (Decimal("0.1"), False)
    assert desk.book.path.parent == home / "answers"
    unpriced = Wish(teacher="http://localhost:9", model="m", budget=1)
    with pytest.raises(UsageError, match="--price-in and --price-out"):
        open_desk(unpriced, find_teacher(unpriced, home), home, "job")
    monkeypatch.delenv("SOME_KEY", raising=False)
    locked = Wish(teacher="open", model="gpt-4o")
    with pytest.raises(UsageError, match="SOME_KEY is empty"):
        open_desk(locked, find_teacher(locked, home), home, "job")


def test_tokens_are_counted_by_the_tokenizer_that_is_given(home, tmp_path):
    from tests.tasks.talk import backend

    backend().save(str(tmp_path / "tokenizer.json"))
    wish = Wish(teacher="desk", tokenizer=tmp_path)
    desk = open_desk(wish, find_teacher(wish, home), home, "job")
    assert desk.count is not None
    assert 0 < desk.count("Where is my parcel?") <= 19
    wrong = Wish(teacher="desk", tokenizer=home / "stillhouse.toml")
    with pytest.raises(UsageError, match="is no tokenizer"):
        open_desk(wrong, find_teacher(wrong, home), home, "job")


def test_a_template_that_limits_answers_is_left_alone():
    assert limit({}, 7) == {"max_completion_tokens": 7}
    assert limit({"max_tokens": 3}, 7) == {}


def test_what_is_not_whole_is_an_error_unless_it_may_be(capsys):
    for tally, said in ((Tally(stopped="the end"), "larger --budget"), (Tally(unheard={"a": "no."}), "1 questions")):
        with pytest.raises(TeacherError, match=said):
            check_whole(tally, partial=False)
        check_whole(tally, partial=True)
        tell_tally(tally, "large")
        assert said.split()[-1] in capsys.readouterr().err
    check_whole(Tally(), partial=False)
    assert tell_tally(Tally(spent=Decimal("0.5")), "large")["spent"] == 0.5


def test_people_hear_what_was_asked_and_paid(capsys):
    tell_tally(Tally(asked=1200, cached=3, prompt_tokens=9000, completion_tokens=70, spent=Decimal("0.01072")), "large")
    told = capsys.readouterr().err
    for part in ("large answered 1,200 calls", "3 answers were there", "9,000 read and 70 written", "0.0107"):
        assert part in told
    tell_tally(Tally(asked=1), "large")
    assert "Spent" not in capsys.readouterr().err
