"""`stillhouse generate evolve`: prompts round upon round."""

from __future__ import annotations

from tests.cli.generating import called, contents, with_dataset
from tests.cli.methods import PRICES, chat, teacher


def test_prompts_evolve_after_a_dry_run(capsys, tmp_path):
    with_dataset(tmp_path, "seeds", [chat("Describe the sea"), chat("Name a river"), chat("Say the same")])
    with teacher(tmp_path) as (scripted, who):
        verb = ("evolve", "seeds", *who, *PRICES, "--rounds", "2", "--out", "harder")
        code, told, _ = called(capsys, tmp_path, *verb, "--dry-run")
        assert (code, told["calls"], told["not_counted"]) == (0, 3, "1 more round about as dear as this one")
        assert scripted.asked == []
        code, told, _ = called(capsys, tmp_path, *verb, "--budget", "1")
        assert code == 0
    version, items, dropped = contents(tmp_path, "harder@1")
    assert len(items) + len(dropped) == 6
    assert items[0].text == "Describe the sea in exactly four lines, naming two rivers"
    assert {reason.split(":")[0] for _, reason in dropped} >= {"did not evolve"}
    assert version.step.counts["kept"] == len(items)
    assert version.step.settings["ways"] == ["constrain", "deepen", "concrete", "reason", "broaden"]


def test_ways_are_checked(capsys, tmp_path):
    with_dataset(tmp_path, "seeds", [chat("Describe the sea")])
    who = ("--teacher", "http://localhost:1", "--model", "m")
    code, told, _ = called(capsys, tmp_path, "evolve", "seeds", *who, "--ways", "harder,sideways")
    assert (code, "'sideways' is none of harder, constrain" in told["error"]["message"]) == (2, True)
