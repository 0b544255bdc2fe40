"""`stillhouse generate context`: answers of a teacher that saw more than its student will."""

from __future__ import annotations

from stillhouse.data.items import Item, Kind
from tests.cli.generating import called, contents, pictures_shown, with_dataset, with_picture
from tests.cli.methods import PRICES, chat, teacher

CAT = b"\x89PNG\r\n\x1a\ncat"
HANDBOOK = "A lost card is blocked at once.\n\nA refund takes five days.\n\nLate parcels cost no fee."


def test_the_handbook_is_in_the_answers_and_not_in_the_prompts(capsys, tmp_path):
    with_dataset(tmp_path, "asked", [chat("When does a refund come?")])
    (tmp_path / "handbook.md").write_text(HANDBOOK)
    with teacher(tmp_path) as (scripted, who):
        verb = ("context", "asked", *who, *PRICES, "--passages", str(tmp_path / "handbook.md"), "--words", "10")
        one = ("--per-prompt", "1", "--out", "taught")
        code, told, _ = called(capsys, tmp_path, *verb, *one, "--dry-run")
        assert (code, told["calls"], scripted.asked) == (0, 1, [])
        assert called(capsys, tmp_path, *verb, *one)[0] == 0
        assert "[1] A refund takes five days." in str(scripted.asked[0])
        assert "lost card" not in str(scripted.asked[0])
        assert called(capsys, tmp_path, *verb, *one[:2], "--keep", "--out", "kept")[0] == 0
        assert len(scripted.asked) == 1
    version, items, _ = contents(tmp_path, "taught@1")
    assert (items[0].text, items[0].words) == ("When does a refund come?", "The answer takes five days.")
    assert version.step.settings["passages"] == 2
    assert "five days" in contents(tmp_path, "kept@1")[1][0].text


def test_examples_come_from_a_dataset(capsys, tmp_path):
    with_dataset(tmp_path, "asked", [chat("Where is my parcel now?")])
    with_dataset(tmp_path, "shown", [chat("Where is my card?", "In your hand."), chat("What fee?", "None.")])
    with teacher(tmp_path) as (scripted, who):
        code, told, _ = called(capsys, tmp_path, "context", "asked", *who, "--examples", "shown", "--shots", "1")
        assert code == 0
        assert "In your hand." in str(scripted.asked[0])
        assert "None." not in str(scripted.asked[0])
    assert told["step"]["parents"] == ["asked@1", "shown@1"]


def test_something_must_be_shown(capsys, tmp_path):
    with_dataset(tmp_path, "asked", [chat("x")])
    who = ("--teacher", "http://localhost:1", "--model", "m")
    code, told, _ = called(capsys, tmp_path, "context", "asked", *who)
    assert (code, "no context to distil" in told["error"]["message"]) == (2, True)
    code, told, _ = called(capsys, tmp_path, "context", "asked", *who, "--examples", "asked")
    assert (code, "to be shown as an example" in told["error"]["message"]) == (2, True)


def test_what_is_asked_about_a_picture_shows_it(capsys, tmp_path):
    cat = with_picture(tmp_path, CAT)
    with_dataset(tmp_path, "seen", [Item(Kind.PAIRED, chat("Is it late?").messages, media=(cat,)),
                                    Item(Kind.IMAGE, media=(cat,))])  # fmt: skip
    (tmp_path / "handbook.md").write_text(HANDBOOK)
    with teacher(tmp_path) as (scripted, who):
        verb = ("context", "seen", *who, "--handbook", str(tmp_path / "handbook.md"), "--out", "taught")
        assert called(capsys, tmp_path, *verb, "--dry-run")[1]["calls"] == 1
        assert called(capsys, tmp_path, *verb)[1]["items"] == 1
    assert [pictures_shown(call) for call in scripted.asked] == [[CAT]]
    assert "lost card" in str(scripted.asked[0])
    assert contents(tmp_path, "taught@1")[2][0][1] == "nothing asked: it has no words"
