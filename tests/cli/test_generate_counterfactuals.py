"""`stillhouse generate counterfactuals`: edited texts that a second look finds flipped."""

from __future__ import annotations

from tests.cli.generating import called, contents, text, with_dataset
from tests.cli.methods import PRICES, teacher


def test_labels_flip_after_a_dry_run(capsys, tmp_path):
    with_dataset(tmp_path, "films", [text("a good film", label="good"), text("a bad play", label="bad")])
    with teacher(tmp_path) as (scripted, who):
        verb = ("counterfactuals", "films", *who, *PRICES, "--out", "flipped")
        code, told, _ = called(capsys, tmp_path, *verb, "--dry-run")
        assert (code, told["calls"], scripted.asked) == (0, 2, [])
        code, told, _ = called(capsys, tmp_path, *verb, "--budget", "1")
        assert (code, told["items"], told["dropped"]) == (0, 1, 1)
    version, items, dropped = contents(tmp_path, "flipped@1")
    assert [(item.text, item.label) for item in items] == [("a bad film", "bad")]
    assert dropped[0][1].startswith("not edited")
    assert version.step.settings["labels"] == ["bad", "good"]


def test_one_label_is_too_few(capsys, tmp_path):
    with_dataset(tmp_path, "films", [text("a good film", label="good")])
    who = ("--teacher", "http://localhost:1", "--model", "m")
    code, told, _ = called(capsys, tmp_path, "counterfactuals", "films", *who)
    assert (code, "two of them" in told["error"]["message"]) == (2, True)
