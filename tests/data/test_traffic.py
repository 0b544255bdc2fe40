from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stillhouse.data.traffic import load_traffic
from stillhouse.errors import NotATask, TrafficError, UsageError

SHARED = Path(__file__).parents[2] / "../shared/data"


def chat(text: str, answer: str | None, system: str = "Sort the mail.", **more) -> dict:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return {"messages": messages + ([{"role": "assistant", "content": answer}] if answer else []), **more}


def write(path: Path, rows: list[dict | str]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def support(rows: int = 40) -> list[dict]:
    return [chat(f"message number {row} about a thing", "abc"[row % 3]) for row in range(rows)]


def test_texts_and_labels_of_every_kind_of_row(tmp_path):
    stored = {
        "object": "chat.completion",
        "model": "large-1",
        "messages": chat("stored", None)["messages"],
        "choices": [
            {
                "message": {"role": "assistant", "content": "b"},
                "logprobs": {
                    "content": [{"token": "b", "logprob": -0.1, "top_logprobs": [{"token": "a", "logprob": -2.4}]}]
                },
            }
        ],
    }
    rows = [*support(), stored, chat("unanswered", None), chat("known", "a", truth="c", conversation_id="x")]
    traffic = load_traffic([write(tmp_path / "calls.jsonl", rows)])
    assert traffic.texts[40:] == ["stored", "unanswered", "known"]
    labels = traffic.answer.fields[0].labels
    assert labels == ("a", "b", "c")
    assert traffic.labels[40:].tolist() == [[1], [-1], [0]]
    assert traffic.truths[40:].tolist() == [[-1], [-1], [2]]
    assert traffic.conversations[40:] == [None, None, "x"]
    assert list(traffic.soft) == [40]
    assert traffic.soft[40][0].argmax() == 1
    assert traffic.teacher == "large-1"
    counts = traffic.counts
    assert (counts.read, counts.used, counts.unanswered, counts.bad) == (43, 43, 1, 0)
    assert (counts.with_truth, counts.with_soft_labels, counts.seen_once) == (1, 1, (0,))


def test_several_files_gzipped_or_not_are_one_traffic(tmp_path):
    first = write(tmp_path / "one.jsonl", support()[:20])
    second = tmp_path / "two.jsonl.gz"
    second.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in support()[20:]).encode()))
    both = load_traffic([first, second])
    whole = load_traffic([write(tmp_path / "whole.jsonl", support())])
    assert (both.texts, both.labels.tolist(), both.source_hash) == (
        whole.texts,
        whole.labels.tolist(),
        whole.source_hash,
    )
    assert both.teacher == "recorded teacher"


def test_bad_rows_are_listed_in_one_error(tmp_path):
    rows = support()
    rows[6] = '{"messages": ['
    rows[8] = {"messages": [{"role": "robot", "content": "a"}]}
    with pytest.raises(TrafficError) as error:
        load_traffic([write(tmp_path / "calls.jsonl", rows)])
    text = str(error.value)
    assert text.startswith("2 rows cannot be used:")
    assert "calls.jsonl, line 7: it is not valid JSON" in text
    assert 'calls.jsonl, line 9: message 1 has the role "robot"' in text
    assert "--skip-bad-rows" in text
    with pytest.raises(TrafficError, match="and 20 more"):
        load_traffic([write(tmp_path / "calls.jsonl", [*support(), *["{"] * 30])])


def test_bad_rows_are_counted_and_kept_aside_when_asked(tmp_path):
    sorry = "I am sorry, but I cannot sort this mail without knowing more about the customer who wrote it."
    strays = ["{broken", chat("x", "a", system="Other rules."), chat("y", sorry)]
    path, aside = write(tmp_path / "calls.jsonl", [*support(), *strays]), tmp_path / "out" / "bad.jsonl"
    traffic = load_traffic([path], skip_bad_rows=True, keep_aside=aside)
    counts = traffic.counts
    assert (counts.read, counts.used, counts.bad) == (43, 40, 3)
    assert (counts.unreadable, counts.prompt_misfits, counts.answer_misfits) == (1, 1, 1)
    kept = [json.loads(line) for line in aside.read_text().splitlines()]
    assert [row["line"] for row in kept] == [41, 42, 43]
    assert kept[0]["row"] == "{broken"
    assert json.loads(kept[2]["row"]) == strays[2]
    assert kept[2]["reason"].endswith("is not one of the 3 labels")
    load_traffic([write(path, support())], skip_bad_rows=True, keep_aside=aside)
    assert not aside.exists(), "nothing is left from an earlier run"


def test_a_holdout_is_read_as_the_traffic_was(tmp_path):
    traffic = load_traffic([write(tmp_path / "calls.jsonl", support())])
    forms = (traffic.prompt, traffic.answer)
    holdout = load_traffic([write(tmp_path / "holdout.jsonl", [chat("new", "c")])], forms=forms)
    assert holdout.labels.tolist() == [[2]]
    with pytest.raises(TrafficError, match=r'holdout\.jsonl, line 1: its answer "d" is not one of the 3 labels'):
        load_traffic([write(tmp_path / "holdout.jsonl", [chat("new", "d")])], forms=forms)


def test_the_user_overrules_labels_and_fields(tmp_path):
    path = write(tmp_path / "calls.jsonl", support())
    traffic = load_traffic([path], labels=["a", "b"], skip_bad_rows=True)
    assert traffic.answer.fields[0].labels == ("a", "b")
    assert traffic.counts.answer_misfits == 13
    rows = [chat(f"text {row}", json.dumps({"k": row % 2, "why": f"reason {row}"})) for row in range(40)]
    assert load_traffic([write(path, rows)], fields=["k"]).labels[:4, 0].tolist() == [0, 1, 0, 1]


def test_two_json_fields_have_two_columns(tmp_path):
    rows = [chat(f"text {row}", json.dumps({"intent": "ab"[row % 2], "level": row % 3})) for row in range(40)]
    traffic = load_traffic([write(tmp_path / "calls.jsonl", rows)])
    assert traffic.labels.shape == (40, 2)
    assert traffic.labels[:4].tolist() == [[0, 0], [1, 1], [0, 2], [1, 0]]


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([], TrafficError, "is empty"),
        ([chat("a", None)] * 5, TrafficError, "No row with an answer is left"),
        (["not json"] * 3, TrafficError, "3 rows cannot be used"),
        ([chat(f"text {row}", f"Well, {row} is a nice number, I think.") for row in range(40)], NotATask, "free text"),
        ([chat(f"text {row}", "a") for row in range(40)], NotATask, "A constant needs no model"),
    ],
    ids=["empty", "unanswered", "no json", "free text", "constant"],
)
def test_traffic_nothing_can_be_learnt_from(tmp_path, rows, error, message):
    with pytest.raises(error, match=message):
        load_traffic([write(tmp_path / "calls.jsonl", rows)])


def test_missing_binary_and_unnamed_files(tmp_path):
    with pytest.raises(TrafficError, match="does not exist"):
        load_traffic([tmp_path / "none.jsonl"])
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(TrafficError, match="is a picture"):
        load_traffic([tmp_path / "picture"])
    with pytest.raises(UsageError, match="at least one file"):
        load_traffic([])
    path = write(tmp_path / "calls.jsonl", ["nope", "nope"])
    with pytest.raises(
        TrafficError, match=r"No row with an answer is left.*2 rows cannot be used:\n.*line 1: it is not"
    ):
        load_traffic([path], skip_bad_rows=True)


def test_a_long_system_prompt_is_not_held_once_per_row(tmp_path):
    system = "Follow these rules. " * 500
    path = write(tmp_path / "calls.jsonl", [chat(f"message {row}", "ab"[row % 2], system) for row in range(2_000)])
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    traffic = load_traffic([path])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
    assert traffic.prompt.leading[0].content == system


def test_real_requests_of_a_bank(tmp_path):
    source = SHARED / "banking77/train.jsonl.gz"
    if not source.is_file():
        pytest.skip("shared data are not here")
    with gzip.open(source, "rt") as lines:
        real = [json.loads(line) for line in lines]
    rows = [{"prompt": f"Sort this.\n\nMessage: {row['text']}\n\nLabel:", "completion": row["label"]} for row in real]
    traffic = load_traffic([write(tmp_path / "calls.jsonl", rows)])
    assert (traffic.prompt.prefix, traffic.prompt.suffix) == ("Sort this.\n\nMessage:", "\n\nLabel:")
    assert len(traffic.answer.fields[0].labels) == 77
    assert traffic.texts == [row["text"].strip() for row in real]
    names = np.array(traffic.answer.fields[0].labels)
    assert names[traffic.labels[:, 0]].tolist() == [row["label"] for row in real]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("openai_toy_chat_fine_tuning", NotATask),
        ("llamafactory_kto_en_demo", NotATask),
        ("llamafactory_alpaca_en_demo", TrafficError),
        ("openai_drone_training", TrafficError),
    ],
)
def test_real_files_of_other_kinds_are_refused(name, error):
    path = SHARED / f"chat_formats/{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip("shared data are not here")
    with pytest.raises(error):
        load_traffic([path])


def test_answers_that_no_student_could_give_are_kept_where_it_is_judged(tmp_path):
    traffic = load_traffic([write(tmp_path / "calls.jsonl", support())])
    forms = (traffic.prompt, traffic.answer)
    rows = [chat("new", "d"), chat("more", "a"), chat("unanswered", None)]
    holdout = load_traffic([write(tmp_path / "holdout.jsonl", rows)], forms=forms, keep_misfits=True)
    assert holdout.labels.tolist() == [[-2], [0], [-1]]
    assert holdout.answered.tolist() == [True, True, False]
    counts = holdout.counts
    assert (counts.used, counts.bad, counts.answer_misfits, counts.kept_misfits, counts.unanswered) == (3, 0, 0, 1, 1)
    aside = tmp_path / "aside.jsonl"
    given = {"skip_bad_rows": True, "keep_aside": aside, "keep_misfits": True}
    again = load_traffic([write(tmp_path / "holdout.jsonl", [*rows, "{broken"])], forms=forms, **given)
    assert (again.counts.read, again.counts.bad, again.counts.kept_misfits) == (4, 1, 1)
    kept = [json.loads(line) for line in aside.read_text().splitlines()]
    assert [row["line"] for row in kept] == [1, 4], "a misfit is kept, and listed all the same"
    write(tmp_path / "holdout.jsonl", rows[:1])
    with pytest.raises(
        TrafficError, match=r"None of the 1 answers .*\n.*holdout\.jsonl, line 1: its answer .d. is not"
    ):
        load_traffic([tmp_path / "holdout.jsonl"], forms=forms, keep_misfits=True)


def test_a_truth_that_is_no_label_is_known_where_the_teacher_gave_it(tmp_path):
    traffic = load_traffic([write(tmp_path / "calls.jsonl", support())])
    pairs = [("d", "d "), ("d", "e"), ("a", "e"), ("d", "b"), ("a", "a")]
    rows = [chat(f"new {row}", answer) | {"truth": truth} for row, (answer, truth) in enumerate(pairs)]
    path = write(tmp_path / "holdout.jsonl", rows)
    holdout = load_traffic([path], forms=(traffic.prompt, traffic.answer), keep_misfits=True)
    assert holdout.truths.tolist() == [[-2], [-1], [-1], [1], [0]]
    assert holdout.counts.with_truth == 3


def test_truths_in_json_are_compared_by_value(tmp_path):
    rows = [chat(f"text {row}", json.dumps({"a": row % 2, "b": row % 3})) for row in range(40)]
    traffic = load_traffic([write(tmp_path / "calls.jsonl", rows)])
    odd = chat("new", '{"a": 7, "b": 0}') | {"truth": {"b": 0, "a": 7}}
    path = write(tmp_path / "holdout.jsonl", [*rows[:2], odd])
    holdout = load_traffic([path], forms=(traffic.prompt, traffic.answer), keep_misfits=True)
    assert holdout.truths[2].tolist() == [-2, -2]
