"""The home folder: lines go, reports are written anew, caches are dropped, and who is at work is not disturbed."""

from __future__ import annotations

import fcntl
import json

import pytest

from stillhouse.data.trace import Trace
from stillhouse.errors import UsageError
from stillhouse.recipes.erase_home import ErasingHome
from tests.recipes.erased import ANN, BOB, said


@pytest.fixture
def home(tmp_path) -> ErasingHome:
    trace = Trace(ANN)
    trace.learn(said(ANN, 1))
    trace.forget(said(BOB, 1).encode())
    return ErasingHome(tmp_path, trace, lambda told: None)


def test_lines_that_only_an_id_tells_are_found_too(home, tmp_path):
    path = tmp_path / "answers" / "a.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps({"user": ANN}) + "\n" + json.dumps({"user": BOB}) + "\n")
    assert set(home.survey()) == {"answers/a.jsonl"}
    [told] = home.erase()
    assert told["before"] != told["after"]
    assert path.read_text() == json.dumps({"user": BOB}) + "\n"
    assert home.erase() == []


def test_a_report_without_a_record_is_removed_and_other_json_cleaned(home, tmp_path):
    (tmp_path / "report.html").write_text(f"<p>{said(ANN, 1)}</p>")
    (tmp_path / "figures.json").write_text(json.dumps({"worst": [{"text": said(ANN, 1)}], "n": 3}))
    home.erase()
    assert not (tmp_path / "report.html").exists()
    assert json.loads((tmp_path / "figures.json").read_text()) == {"worst": [{"text": "[erased]"}], "n": 3}
    assert home.leftovers() == []


def test_what_cannot_be_rewritten_is_told_as_left(home, tmp_path):
    (tmp_path / "picture.xyz").write_bytes(b"\0" + said(ANN, 1).encode())
    home.erase()
    assert home.leftovers() == ["picture.xyz"]


def test_a_run_at_work_keeps_its_stages(home, tmp_path):
    (tmp_path / "stages" / "words-1").mkdir(parents=True)
    with (tmp_path / "stages" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="A run is at work"):
            home.drop_caches()
    home.drop_caches()
    assert home.caches() == []


def test_a_book_that_is_written_is_left_alone(home, tmp_path):
    path = tmp_path / "answers" / "a.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps({"user": ANN}) + "\n")
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="is being written"):
            home.erase()
    assert ANN in path.read_text()


def test_signals_are_kept_on_demand(home, tmp_path):
    for name in ("stages/words-1", "signals/abc"):
        (tmp_path / name).mkdir(parents=True)
    assert [path.name for path in home.caches(keep_signals=True)] == ["words-1"]
    assert len(home.caches()) == 2


def test_a_name_in_a_path_is_not_told(home, tmp_path):
    assert home.shown(tmp_path / "students" / ANN / "x") == "students/[subject]/x"


STAYS = {
    "students/mail/tokenizer.json": json.dumps({"model": {"vocab": {"alice": 7, "1042": 8}, "merges": ["ali ce"]}}),
    "students/mail/tokenizer_config.json": json.dumps({"user": "alice"}),
    "students/mail/vocab.txt": "bob\nalice\n1042\n",
    "students/mail/stillhouse.json": json.dumps({"labels": ["alice", "1042"], "seed": 1042}),
    "students/mail/losses.csv": "step,loss\n1042,0.5\n",
    "NOTES.md": "Step 1042 was best, said alice.",
    "rows.jsonl": json.dumps({"user": BOB, "text": "alice 1042"}) + "\n",
    "broken.json": '{"user": "alice", "1042',
}


@pytest.mark.parametrize("subject", ["alice", "1042"])
def test_a_name_that_is_a_word_like_any_other_changes_nothing_where_it_is_one(tmp_path, subject):
    for place, content in STAYS.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(content)
    rows = [json.dumps({"user": who, "text": "hello"}) + "\n" for who in (subject, BOB)]
    (tmp_path / "answers.jsonl").write_text("".join(rows))
    (tmp_path / "asked.json").write_text(json.dumps({"rows": [{"user": subject, "text": "a"}], "best": subject}))
    home = ErasingHome(tmp_path, Trace(subject), lambda told: None)
    assert home.survey() == {"answers.jsonl": ["name"], "asked.json": ["name"]}
    home.erase()
    assert (tmp_path / "answers.jsonl").read_text() == rows[1]
    assert json.loads((tmp_path / "asked.json").read_text())["rows"] == [{"user": "[erased]", "text": "[erased]"}]
    assert {place: (tmp_path / place).read_text() for place in STAYS} == STAYS
    assert home.leftovers() == []
    mentions = {place for place, content in STAYS.items() if subject in content and "tokenizer" not in place}
    assert set(home.mentions()) == mentions - {"students/mail/vocab.txt"} | {"asked.json"}
    (tmp_path / "students").rename(tmp_path.with_name(f"elsewhere-{subject}"))
    bundle = tmp_path.with_name(f"elsewhere-{subject}") / "mail"
    assert home.clean_bundle(bundle) == []
    assert str(bundle / "stillhouse.json") in home.mentions([bundle])


def test_a_tokenizer_that_knows_an_unmistakable_name_is_left_whole_and_told(home, tmp_path):
    place = tmp_path / "tokenizer.json"
    place.write_text(json.dumps({"model": {"vocab": {ANN: 7}}}))
    before = place.read_bytes()
    home.erase()
    assert place.read_bytes() == before
    assert home.leftovers() == ["tokenizer.json"]
    assert home.mentions() == []
