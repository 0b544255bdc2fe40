"""`stillhouse generate evolve`: prompts round upon round."""

from __future__ import annotations

from stillhouse.data.items import Item, Kind
from tests.cli.generating import called, contents, pictures_shown, with_dataset, with_picture
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


def test_a_prompt_about_a_picture_evolves_in_sight_of_it(capsys, tmp_path):
    png = b"\x89PNG\r\n\x1a\ncat"
    cat = with_picture(tmp_path, png)
    with_dataset(tmp_path, "seen", [Item(Kind.PAIRED, chat("Describe the animal").messages, media=(cat,)),
                                    Item(Kind.IMAGE, media=(cat,))])  # fmt: skip
    with teacher(tmp_path) as (scripted, who):
        assert called(capsys, tmp_path, "evolve", "seen", *who, "--out", "harder")[1]["items"] == 1
    assert [pictures_shown(call) for call in scripted.asked] == [[png]]
    _, items, dropped = contents(tmp_path, "harder@1")
    assert items[0].media == (cat,)
    assert dropped[0][1] == "nothing to evolve: it has no words"
