"""`stillhouse generate answers`: one answer, the best of several, or pairs."""

from __future__ import annotations

import pytest

from stillhouse.data.items import Item, Kind
from tests.cli.generating import called, contents, pictures_shown, with_dataset, with_picture
from tests.cli.methods import PRICES, answers, chat, teacher
from tests.generation.scripted import last_words

CAT = b"\x89PNG\r\n\x1a\ncat"


@pytest.fixture
def home(tmp_path):
    with_dataset(tmp_path, "asked", [chat("One question"), chat("Another question"), chat("A forbidden one")])
    return tmp_path


def test_prompts_are_answered_after_a_dry_run(capsys, home):
    with teacher(home) as (scripted, who):
        verb = ("answers", "asked", *who, *PRICES, "--out", "told", "--system", "Be brief.")
        code, told, _ = called(capsys, home, *verb, "--dry-run")
        assert (code, told["calls"], scripted.asked) == (0, 3, [])
        code, told, _ = called(capsys, home, *verb, "--budget", "1")
        assert (code, told["items"], told["dropped"]) == (0, 2, 1)
        assert scripted.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    version, items, dropped = contents(home, "told@1")
    assert all(item.words.startswith("Answer ") for item in items)
    assert items[0].messages == chat("One question").messages
    assert "against our policy" in dropped[0][1]
    assert version.step.settings["system"] == "Be brief."


def test_a_judge_has_room_for_its_reason_and_the_least_is_of_the_best(capsys, home):
    with teacher(home) as (scripted, who):
        verb = ("answers", "asked", *who, "--samples", "2", "--max-tokens", "20", "--out", "short")
        assert called(capsys, home, *verb, "--keep", "best")[0] == 0
        code, told, _ = called(capsys, home, *verb, "--keep", "all", "--least", "0.5")
    room = {call["max_completion_tokens"] for call in scripted.asked if "An assistant answered" in last_words(call)}
    assert room == {512}
    assert (code, "--keep best" in told["error"]["message"]) == (2, True)


def test_the_best_is_kept_with_its_grade(capsys, home):
    with teacher(home) as (scripted, who):
        verb = ("answers", "asked", *who, "--samples", "3", "--keep", "best", "--out", "best")
        assert "judge is asked" in called(capsys, home, *verb, "--dry-run")[1]["not_counted"]
        code, told, _ = called(capsys, home, *verb)
        assert (code, told["graded"]) == (0, 2)
        assert 0 <= told["mean_grade"] <= 1
    assert all(item.facts.metadata["of"] == "3" for item in contents(home, "best@1")[1])
    assert len(scripted.asked) > 9


def test_pairs_can_be_learnt_from(capsys, home):
    number = 0

    def different(call, before):
        nonlocal number
        if last_words(call).endswith("question"):
            number += 1
            return f"Answer {number}."
        return answers(call, before)

    with teacher(home) as (scripted, who):
        scripted.script = different
        code, told, _ = called(
            capsys, home, "answers", "asked", *who, "--samples", "3", "--keep", "pairs", "--out", "p"
        )
        assert (code, told["items"]) == (0, 2)
    for item in contents(home, "p@1")[1]:
        assert item.kind is Kind.PREFERENCE
        assert int(item.words[7]) > int(item.rejected["content"][7])


def test_what_is_asked_about_a_picture_shows_it(capsys, tmp_path):
    cat, song = with_picture(tmp_path, CAT), with_picture(tmp_path, b"la", "audio/wav")
    asked = {"role": "user", "content": "What is it?"}
    rows = [Item(Kind.PAIRED, (asked,), media=(media,)) for media in (cat, song)]
    rows.append(Item(Kind.IMAGE, media=(cat,)))
    with_dataset(tmp_path, "seen", rows)
    with teacher(tmp_path) as (scripted, who):
        verb = ("answers", "seen", *who, "--samples", "2", "--keep", "best", "--out", "told")
        assert called(capsys, tmp_path, *verb)[1]["items"] == 1
        assert len(scripted.asked) > 2
        assert all(pictures_shown(call) == [CAT] for call in scripted.asked), "the judge sees it as well"
        reasons = [reason for _, reason in contents(tmp_path, "told@1")[2]]
        assert reasons == ["no picture: a.png is audio/wav", "nothing asked: it has no words"]
        scripted.asked.clear()
        assert called(capsys, tmp_path, "answers", "seen", *who, "--system", "What is it?")[1]["items"] == 2
        alone = next(call for call in scripted.asked if len(call["messages"][1]["content"]) == 1)
        assert pictures_shown(alone) == [CAT]
