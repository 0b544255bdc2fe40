"""`stillhouse generate prompts`: from a few seeds to many prompts, by every way."""

from __future__ import annotations

import pytest

from stillhouse.cli.generate_prompts import read_lines
from stillhouse.errors import UsageError
from tests.cli.generating import called, contents, text, with_dataset
from tests.cli.methods import PRICES, chat, teacher


@pytest.fixture
def home(tmp_path):
    with_dataset(tmp_path, "seeds", [chat(f"Tell me about the number {number}") for number in range(9)])
    return tmp_path


def test_seeds_become_more_after_a_dry_run(capsys, home):
    with teacher(home) as (scripted, who):
        verb = ("prompts", "seeds", *who, *PRICES, "--count", "12", "--out", "more")
        code, told, _ = called(capsys, home, *verb, "--dry-run")
        assert (code, told["calls"], scripted.asked) == (0, 4, [])
        assert 0 < told["cost"] < told["most_cost"]
        assert "later rounds" in told["not_counted"]
        code, told, _ = called(capsys, home, *verb, "--budget", "1")
        assert (code, told["reference"], told["items"]) == (0, "more@1", 12)
        asked = len(scripted.asked)
        again = called(capsys, home, *verb, "--budget", "1")[1]
        assert (again["reference"], again["hash"], len(scripted.asked)) == ("more@1", told["hash"], asked)
    version, items, _ = contents(home, "more@1")
    assert len({item.text for item in items}) == 12
    assert (version.step.verb, version.step.parents) == ("prompts", ("seeds@1",))
    assert version.step.settings["template"]["user"].startswith("These requests were sent")
    assert {item.source.teacher for item in items} == {"m"}


def test_personas_and_documents_are_asked_in_turn(capsys, home):
    (home / "people.txt").write_text("a nurse who works nights\n\na pilot\n")
    (home / "bees.md").write_text("Bees dance.\n\nThey live in hives.")
    with teacher(home) as (scripted, who):
        called(capsys, home, "prompts", "seeds", *who, "--count", "6", "--personas", str(home / "people.txt"))
        assert all("nurse" in str(call) or "pilot" in str(call) for call in scripted.asked)
        scripted.asked.clear()
        code, told, _ = called(
            capsys, home, "prompts", "seeds@1", *who, "--count", "3", "--documents", str(home / "bees.md")
        )
        assert (code, told["items"]) == (0, 3)
        assert all("Bees dance." in str(call) for call in scripted.asked)


def test_rare_labels_get_most(capsys, home):
    rows = [text(f"where is card {number}", label="card") for number in range(5)] + [text("what fee", label="fee")]
    with_dataset(home, "desk", rows)
    (home / "labels.toml").write_text('card = "about cards"\nfee = "about fees"\n')
    with teacher(home) as (_, who):
        verb = ("prompts", "desk", *who, "--labels", str(home / "labels.toml"), "--target", "7", "--out", "even")
        assert called(capsys, home, *verb)[1]["items"] == 8
    labels = [item.label for item in contents(home, "even@1")[1]]
    assert (labels.count("card"), labels.count("fee")) == (2, 6)


def test_a_template_of_the_user_is_checked_first(capsys, home):
    own = home / "own.txt"
    own.write_text("More like {exampels}")
    with teacher(home) as (scripted, who):
        code, told, _ = called(capsys, home, "prompts", "seeds", *who, "--template", str(own))
    assert code == 2
    assert "Did you mean {examples}?" in told["error"]["message"]
    assert scripted.asked == []


def test_one_way_at_a_time(capsys, home):
    (home / "some.txt").write_text("x")
    both = ("--personas", str(home / "some.txt"), "--documents", str(home / "some.txt"))
    code, told, _ = called(capsys, home, "prompts", "seeds", "--teacher", "http://localhost:1", "--model", "m", *both)
    assert (code, "one of the three" in told["error"]["message"]) == (2, True)
    with pytest.raises(UsageError, match="cannot be read"):
        read_lines(home / "missing.txt")
