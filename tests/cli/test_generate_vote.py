"""`stillhouse generate vote`: several labelled versions become one."""

from __future__ import annotations

import pytest

from tests.cli.generating import called, contents, text, with_dataset
from tests.cli.methods import teacher

RIGHT = ["x", "y"] * 10


@pytest.fixture
def home(tmp_path):
    """`one` is right, `two` errs on every third text, `three` on every fourth."""
    for name, every in (("one", 100), ("two", 3), ("three", 4)):
        said = ["y" if label == "x" and at % every == 1 else label for at, label in enumerate(RIGHT, 1)]
        with_dataset(
            tmp_path, name, [text(f"text {at}", label=label, truth=RIGHT[at]) for at, label in enumerate(said)]
        )
    return tmp_path


@pytest.mark.parametrize("how", ["majority", "weighted", "dawid-skene", "one-coin"])
def test_votes_become_labels(capsys, home, how):
    code, told, _ = called(capsys, home, "vote", "one", "two", "three", "--how", how, "--out", "voted")
    assert (code, told["items"]) == (0, 20)
    version, items, _ = contents(home, "voted@1")
    assert sum(item.label == item.truth for item in items) >= 18
    assert version.step.parents == ("one@1", "two@1", "three@1")
    assert (how == "majority") == (told["reliability"] == {})
    assert all(sum(item.soft.values()) == pytest.approx(1, abs=0.01) for item in items)


def test_who_is_best_at_what_is_told_and_routed(capsys, home):
    prices = [
        option
        for name, cost in (("one@1", 9), ("two@1", 1), ("three@1", 2))
        for option in ("--price", f"{name}={cost}")
    ]
    verb = (
        "vote",
        "one",
        "two",
        "three",
        "--how",
        "weighted",
        "--kinds",
        "truth",
        *prices,
        "--margin",
        "0.05",
        "--dry-run",
    )
    code, told, _ = called(capsys, home, *verb)
    assert (code, told["items"], told["tied"]) == (0, 20, 0)
    assert told["routes"]["y"] == "two@1"
    assert told["routes"]["x"] == "one@1"
    code, told, _ = called(capsys, home, "vote", "one", "two", "--price", "one@1=3")
    assert (code, "--kinds language" in told["error"]["message"]) == (2, True)


def test_a_judge_breaks_ties(capsys, tmp_path):
    with_dataset(tmp_path, "one", [text("a", label="x"), text("b", label="x")])
    with_dataset(tmp_path, "two", [text("a", label="y"), text("b", label="x")])
    plain = ("vote", "one", "two", "--how", "majority", "--out", "voted")
    assert called(capsys, tmp_path, *plain)[1]["step"]["counts"]["without a label"] == 1
    assert [item.facts.tags for item in contents(tmp_path, "voted@1")[1]] == [("tied",), ()]
    with teacher(tmp_path) as (scripted, who):
        judged = (*plain, "--judge", who[1], "--judge-model", "j")
        code, told, _ = called(capsys, tmp_path, *judged, "--dry-run")
        assert (code, told["calls"], told["tied"], scripted.asked) == (0, 1, 1, [])
        code, told, _ = called(capsys, tmp_path, *judged)
        assert (code, told["judging"]["asked"]) == (0, 1)
    version, items, _ = contents(tmp_path, "voted@2")
    assert [item.label for item in items] == ["x", "x"]
    assert version.step.settings["judge_model"] == "j"


def test_a_vote_needs_two(capsys, home):
    code, told, _ = called(capsys, home, "vote", "one")
    assert (code, "at least two annotators" in told["error"]["message"]) == (2, True)
