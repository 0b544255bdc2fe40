from __future__ import annotations

import json

import pytest

from stillhouse.cli.main import run
from tests.cli.curating import add, caller, chat, read

RIVER = "the river rose above its banks in the night and by morning the lower town stood under water"
ROWS = [
    chat("Where is my parcel?", "It arrives on Monday.", 1),
    chat("where is my  PARCEL?", "It arrives on Monday.", 2),
    chat("i was charged twice for the same transfer to my friend last monday", "We look into it.", 3),
    chat("i was charged twice for the same transfer to my friend last monday please", "One moment.", 4),
    chat("Help me with a crime.", "I'm sorry, but I can't help with that.", 5),
    chat("Say something.", "", 6),
    chat(f"Explain: {RIVER}", "A flood.", 7),
]


@pytest.fixture
def call(tmp_path, capsys):
    add(tmp_path, "support", ROWS)
    return caller(tmp_path, capsys)


def test_a_dry_run_says_what_would_be_done_and_makes_nothing(call, tmp_path):
    code, told = call("curate", "support", "--dry-run")
    assert code == 0
    assert (told["dry_run"], told["of"]) == (True, "support@1")
    assert told["counts"] == {
        "rows": 7, "kept": 3, "dropped": 4, "duplicate": 1, "empty": 1, "near-duplicate": 1, "refusal": 1
    }  # fmt: skip
    assert [step["step"] for step in told["steps"]] == ["refusals", "broken", "duplicates", "near-duplicates"]
    assert told["steps"][0]["examples"][0]["reason"] == "refusal: opens so in en"
    assert call("show", "support@2")[0] == 2


def test_a_new_version_lies_beside_what_was_dropped(call, tmp_path):
    code, told = call("curate", "support")
    assert code == 0
    assert (told["reference"], told["items"], told["dropped"]) == ("support@2", 3, 4)
    assert told["step"]["parents"] == ["support@1"]
    assert told["step"]["settings"]["order"] == ["refusals", "broken", "duplicates", "near-duplicates"]
    assert told["step"]["settings"]["steps"]["near-duplicates"] == {
        "threshold": 0.8,
        "by": "asked",
        "across_labels": False,
    }
    kept, dropped = read(tmp_path, "support@2")
    assert [item.source.row for item in kept] == [1, 3, 7]
    assert {item.source.row: why.split(":")[0] for item, why in dropped} == {
        2: "duplicate", 4: "near-duplicate", 5: "refusal", 6: "empty"
    }  # fmt: skip
    assert call("curate", "support@1")[1]["hash"] == told["hash"]


def test_a_good_answer_never_goes_for_a_refusal_that_goes_too(tmp_path, capsys):
    asked = "where is the parcel that i ordered last monday"
    add(
        tmp_path,
        "d",
        [chat(asked, "I'm sorry, but I can't help with that.", 1), chat(f"{asked}, please", "delivery", 2)],
    )
    assert caller(tmp_path, capsys)("curate", "d")[1]["counts"]["kept"] == 1
    assert [item.words for item in read(tmp_path, "d")[0]] == ["delivery"]


def test_the_same_rows_and_settings_give_the_same_hash_elsewhere(call, tmp_path, capsys):
    other = tmp_path / "other"
    assert add(other, "elsewhere", ROWS)
    assert caller(other, capsys)("curate", "elsewhere")[1]["hash"] == call("curate", "support")[1]["hash"]


def test_settings_come_from_a_recipe_and_the_command_line(call, tmp_path):
    recipe = tmp_path / "curation.toml"
    recipe.write_text(
        'steps = ["near-duplicates", "lengths"]\n[near-duplicates]\nthreshold = 0.95\n[lengths]\nleast_asked = 18\n'
    )
    counts = call("curate", "support", "--recipe", str(recipe), "--dry-run")[1]["counts"]
    assert counts == {"rows": 7, "kept": 5, "dropped": 2, "near-duplicate": 1, "too-short": 1}
    counts = call("curate", "support", "--steps", "lengths,refusals", "--set", "lengths.most-asked=30", "--dry-run")[1][
        "counts"
    ]
    assert counts == {"rows": 7, "kept": 3, "dropped": 4, "refusal": 1, "too-long": 3}


def test_test_sets_are_kept_out_and_named_in_the_lineage(call, tmp_path):
    add(tmp_path, "exam", [chat(RIVER, "x", 1)])
    code, told = call("curate", "support", "--steps", "decontaminate", "--against", "exam", "--name", "clean")
    assert code == 0
    assert (told["reference"], told["dropped"]) == ("clean@1", 1)
    assert told["steps"][0]["counts"]["in exam@1"] == 1
    assert told["step"]["parents"] == ["support@1", "exam@1"]
    assert told["step"]["settings"]["against"][0]["name"] == "exam@1"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Say which dataset"),
        (("support", "--steps", "refusal"), "Did you mean 'refusals'"),
        (("support", "--steps", "refusals", "--set", "refusals.longst=3"), "Did you mean 'longest'"),
        (("support", "--set", "threshold=3"), "step.setting=value"),
        (("support", "--set", "refusal.longest=3"), "is no step"),
        (("support", "--set", "balance.most=3"), "none of the steps that are taken"),
        (("support", "--set", "near-duplicates.threshold=8"), "between 0.3 and 1"),
        (("support", "--steps", "decontaminate"), "go together"),
        (("support", "--against", "support"), "go together"),
        (("support", "--steps", "decontaminate", "--against", "support", "--against", "support@1"), "one name"),
        (("support@9",), "There is no dataset support@9"),
        (("support", "--recipe", "none.toml"), "cannot be read"),
    ],
)
def test_wrong_use_is_told(call, arguments, told):
    code, answer = call("curate", *arguments)
    assert code == 2
    assert told in answer["error"]["message"]


def test_people_see_a_table_with_examples(call, tmp_path, capsys):
    assert run(["data", "curate", "support", "--home", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "near-duplicates" in told.out
    assert "I'm sorry, but I can't help with that.  (refusal: opens so in en)" in told.out
    assert "3 of 7 rows stay." in told.out
    assert "stillhouse data restore support@2 --reason REASON" in told.out
    assert "refusals ..." in told.err
    assert run(["data", "curate", "--list"]) == 0
    assert "One of each family of rows that ask almost the same." in capsys.readouterr().out


def test_the_steps_are_listed(call):
    assert "label-errors" in call("curate", "--list")[1]["steps"]


def test_a_test_set_may_be_a_file(call, tmp_path):
    exam = tmp_path / "exam.jsonl"
    exam.write_text(
        json.dumps({"messages": [{"role": "user", "content": RIVER}, {"role": "assistant", "content": "x"}]})
    )
    code, told = call("curate", "support", "--steps", "decontaminate", "--against", str(exam))
    assert code == 0
    assert told["step"]["parents"] == ["support@1", "exam.jsonl"]
    assert told["step"]["counts"]["test-set"] == 1
    assert told["steps"][0]["examples"][0]["reason"].startswith("test-set: exam.jsonl shares 8 words: ")
    assert len(told["step"]["settings"]["against"][0]["sha256"]) == 64


def test_settings_may_be_lists_and_words(call):
    lists = ("--set", 'refusals.phrases=["^a flood"]', "--set", "duplicates.by=asked")
    counts = call("curate", "support", "--steps", "duplicates,refusals", *lists, "--dry-run")[1]["counts"]
    assert (counts["refusal"], counts["duplicate"]) == (2, 1)


def test_rows_that_are_not_held_are_read_again(call, tmp_path, monkeypatch):
    held = call("curate", "support", "--name", "held")[1]["hash"]
    monkeypatch.setattr("stillhouse.cli.data_curate.HELD", 0)
    monkeypatch.setattr("stillhouse.cli.data_curate.TOLD", 2)
    assert call("curate", "support", "--name", "read")[1]["hash"] == held
