"""The whole run on every kind of traffic, through the command line; what it makes is served and asked."""

from __future__ import annotations

import json
import math

import pytest

from stillhouse.artifacts import hash_file
from stillhouse.bundle.manifest import read_manifest
from stillhouse.recipes.distill import distill
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.training.events import Note, StageDone
from tests.recipes.runs import LABELS, SORRY, SYSTEM, WORDS, answers, calls, chat, client, distil, run, texts, write

ODD = ("needs a human", 'say "hello"', "🙂 thanks", "two\nlines", "O'Brien & Söhne, <b>", "{not json")
INTENTS, LEVELS = ("refund", "where is it?", 'broken "box" 📦'), ("low", "high")


def agreeing(bundle, rows) -> int:
    """Rows on which the served student writes, byte for byte, what the teacher wrote."""
    says = answers(bundle, rows)
    return sum(said == row["messages"][2]["content"] for said, row in zip(says, rows, strict=True))


def test_json_has_every_key_and_plain_numbers(plain):
    printed = json.loads((plain / "printed.json").read_text())
    assert printed["task"] == "classification"
    assert printed["labels"] == 3
    assert set(printed["splits"]) == {"train", "selection", "calibration", "test"}
    assert sum(printed["splits"].values()) == 240
    (rung,) = printed["ladder"]
    assert rung["name"] == printed["chosen"] == "words"
    numbers = ("agreement", "bytes", "latency_ms_p50", "latency_ms_p95", "throughput_per_s")
    assert all(rung[key] > 0 for key in numbers)
    certificate = printed["certificate"]
    low, high = certificate["interval"]
    assert 0.8 < low <= certificate["agreement"] <= high <= 1
    assert (certificate["confidence"], certificate["margin"]) == (0.95, 0.02)
    assert certificate["non_inferior"] is (certificate["verdict"] == "non-inferior")
    assert set(certificate["cascade"]) >= {"risk", "threshold", "coverage", "kept_disagreement"}
    assert printed["bundle"] == str(plain / "student")


def test_the_bundle_holds_all_that_is_promised_and_nothing_else(plain):
    files = {path.relative_to(plain / "student").as_posix() for path in (plain / "student").rglob("*")}
    named = {"stillhouse.json", "certificate.json", "record.json", "report.html", "README.md"}
    trained = {"trained", "trained/student.safetensors", "trained/student.json"}
    assert files == named | trained | {"student", "student/model.onnx"}
    assert [path.name for path in plain.iterdir() if path.name.startswith(".")] == []
    assert not list((plain / "home").rglob("*.partial"))


def test_the_trained_student_is_hashed_and_no_part_of_what_is_served(plain):
    manifest, printed = read_manifest(plain / "student"), json.loads((plain / "printed.json").read_text())
    assert set(manifest.files) == {"student/model.onnx"}
    trained = manifest.run["trained"]
    assert set(trained) == {"trained/student.safetensors", "trained/student.json"}
    for name, digest in trained.items():
        assert hash_file(plain / "student" / name) == printed["hashes"][name] == digest
    assert printed["ladder"][0]["bytes"] == (plain / "student" / "student" / "model.onnx").stat().st_size


def test_plain_labels_are_served(plain):
    fresh = calls(LABELS, 30, seed=1)
    assert agreeing(plain / "student", fresh) >= 28
    with client(plain / "student") as ask:
        raw = ask.chat.completions.with_raw_response.create(model="student", messages=fresh[0]["messages"][:2])
    assert raw.headers["x-stillhouse-route"].startswith("student")


def test_two_json_fields_are_written_as_the_teacher_writes_them(tmp_path):
    pairs = [(intent, level) for intent in INTENTS for level in LEVELS]
    written = [f'{{"intent": {json.dumps(i, ensure_ascii=False)},  "level":{json.dumps(level)}}}' for i, level in pairs]
    printed = distil(write(tmp_path / "calls.jsonl", calls(written, 360)), tmp_path)
    assert printed["labels"] == 5
    assert printed["fields"] == [{"name": "intent", "labels": 3}, {"name": "level", "labels": 2}]
    assert agreeing(tmp_path / "student", calls(written, 30, seed=1)) >= 26


def test_labels_of_any_letters_are_given_back_as_they_are(tmp_path):
    printed = distil(write(tmp_path / "calls.jsonl", calls(ODD)), tmp_path)
    assert printed["labels"] == len(ODD)
    assert agreeing(tmp_path / "student", calls(ODD, 30, seed=1)) >= 25
    report = (tmp_path / "student" / "report.html").read_text()
    assert "Söhne, &lt;b&gt;" in report
    assert "Söhne, <b>" not in report


@pytest.mark.slow
def test_a_hundred_and_fifty_labels(tmp_path):
    printed = distil(write(tmp_path / "calls.jsonl", calls([f"label {n}" for n in range(150)], 1_500)), tmp_path)
    assert printed["labels"] == 150
    assert printed["certificate"]["agreement"] > 0.4


def test_one_label_in_nineteen_of_twenty_rows_and_another_seen_once(tmp_path):
    topics = [0 if row % 20 else 1 for row in range(300)]
    rows = [chat(text, LABELS[topic]) for text, topic in zip(texts(topics), topics, strict=True)]
    printed = distil(write(tmp_path / "calls.jsonl", [*rows, chat("an oddity by itself", "seen once")]), tmp_path)
    assert printed["labels"] == 3
    assert printed["ladder"][0]["macro_f1"] <= printed["ladder"][0]["agreement"]


def test_forty_rows_cannot_tell_and_say_how_many_could(tmp_path):
    printed = distil(write(tmp_path / "calls.jsonl", calls(LABELS[:2], 40)), tmp_path)
    assert printed["certificate"]["verdict"] == "cannot tell"
    assert printed["certificate"]["needed_rows"] > 100
    assert printed["certificate"]["cascade"]["threshold"] is None


def test_repeated_rows_stay_on_one_side(tmp_path):
    traffic = write(tmp_path / "calls.jsonl", calls(LABELS, 80) * 3)
    distil(traffic, tmp_path)
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["rows"]["duplicates"] == 240
    assert all(rows % 3 == 0 for rows in record["data"]["splits"].values())


def test_calls_without_an_answer_known_truths_and_recorded_logprobs(tmp_path):
    def row(text: str, answer: str) -> dict:
        alternatives = [{"token": label, "logprob": math.log(0.8 if label == answer else 0.1)} for label in LABELS]
        token = {"token": answer, "logprob": math.log(0.8), "top_logprobs": alternatives}
        message = {"role": "assistant", "content": answer}
        return {
            "object": "chat.completion",
            "model": "large-7",
            "messages": chat(text, None)["messages"],
            "choices": [{"message": message, "finish_reason": "stop", "logprobs": {"content": [token]}}],
            "truth": answer,
        }

    topics = [number % 3 for number in range(240)]
    answered = [row(text, LABELS[topic]) for text, topic in zip(texts(topics), topics, strict=True)]
    unanswered = [chat(text, None) for text in texts(topics[:60], seed=5)]
    printed = distil(write(tmp_path / "calls.jsonl", answered + unanswered), tmp_path)
    assert sum(printed["splits"].values()) == 240
    assert printed["certificate"]["paired"]["teacher_accuracy"] == 1.0
    assert read_manifest(tmp_path / "student").teacher == "large-7"
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["data"]["rows"]["unanswered"] == 60


def test_an_answer_of_the_holdout_that_no_student_could_give_is_a_disagreement(tmp_path):
    traffic = write(tmp_path / "calls.jsonl", calls(LABELS))
    strange = [chat(text, "a label of next year") for text in texts([0] * 20, seed=9)]
    holdout = write(tmp_path / "holdout.jsonl", calls(LABELS, 80, seed=3) + strange)
    done = run(
        "distill", traffic, "--out", tmp_path / "student", "--home", tmp_path, "--holdout", holdout, "--json", *WORDS
    )
    assert done.code == 0, done.err
    assert "20 answers are none that a student could give: each counts as a disagreement" in done.err
    printed = done.json
    assert printed["splits"]["test"] == 100
    assert printed["certificate"]["agreement"] <= 0.8
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert record["confusions"][0]["teacher_label"] == "(another answer)"


def test_an_answer_outside_the_labels_is_a_disagreement_wherever_it_is_measured(tmp_path):
    odd = [chat(text, f"{SORRY} {row}") for row, text in enumerate(texts([0] * 12, seed=8))]
    traffic = write(tmp_path / "calls.jsonl", [*calls(LABELS), *odd, "{broken"])
    printed = distil(traffic, tmp_path, *WORDS, "--skip-bad-rows")
    told = printed["certificate"]["provenance"]
    assert told["left_out"] == 1
    assert told["outside_labels"]["test"] > 0
    assert printed["certificate"]["agreement"] <= 1 - told["outside_labels"]["test"] / printed["splits"]["test"]
    assert printed["ladder"][0]["agreement"] <= 1 - told["outside_labels"]["selection"] / printed["splits"]["selection"]
    record = json.loads((tmp_path / "student" / "record.json").read_text())
    assert (record["data"]["rows"]["bad"], record["data"]["rows"]["outside"]) == (1, 12)
    assert "12 rows have an answer that no student could give" in (tmp_path / "student" / "report.html").read_text()
    assert "12 with an answer outside the labels" in (tmp_path / "student" / "README.md").read_text()


def test_a_holdout_of_other_answers_altogether_is_refused(tmp_path, plain):
    holdout = write(tmp_path / "holdout.jsonl", calls(("yes", "no"), 40, seed=3))
    place = ("--out", tmp_path / "student", "--home", tmp_path / "home")
    done = run("distill", plain / "calls.jsonl", "--holdout", holdout, *place, *WORDS)
    assert done.code == 1
    assert "None of the 40 answers is one the student could give" in done.err
    assert "holdout.jsonl, line 1" in done.err


def test_rows_of_the_traffic_that_the_holdout_repeats_are_not_learnt_from(tmp_path, plain):
    rows = calls(LABELS)
    holdout = write(tmp_path / "holdout.jsonl", rows[:60])
    printed = distil(plain / "calls.jsonl", tmp_path, "--holdout", holdout, *WORDS)
    assert printed["splits"]["test"] == 60
    assert sum(printed["splits"].values()) == 240
    again = run("distill", plain / "calls.jsonl", "--holdout", plain / "calls.jsonl", "--out", tmp_path / "x", *WORDS)
    assert again.code == 1
    assert "different contents" in again.err


@pytest.mark.slow
def test_with_an_encoder_the_ladder_has_every_family_and_an_assistant(tmp_path, tiny_encoder, plain):
    printed = distil(plain / "calls.jsonl", tmp_path, "--encoder", tiny_encoder)
    assert [rung["name"] for rung in printed["ladder"]] == ["words", "static", "encoder-1", "encoder-2"]
    assert all(rung["latency_ms_p50"] > 0 for rung in printed["ladder"])
    stages = {path.name.rpartition("-")[0] for path in (tmp_path / "home" / "stages").iterdir() if path.is_dir()}
    assert {"assistant", "words", "static", "encoder-1", "encoder-2", "pace-words"} <= stages


def test_static_students_are_served_without_an_encoder(tmp_path, plain):
    printed = distil(plain / "calls.jsonl", tmp_path, "--encoder", "none", "--student", "static")
    assert printed["chosen"] == "static"
    assert agreeing(tmp_path / "student", calls(LABELS, 30, seed=1)) >= 25


def test_a_second_run_skips_what_is_done_and_a_fresh_one_does_not(plain, tmp_path):
    def stages(fresh: bool) -> tuple[dict[str, bool], dict[str, str]]:
        heard = []
        recipe = DistillRecipe(
            traffic=(plain / "calls.jsonl",), out=tmp_path / "student", students=("words",), encoder="none"
        )
        hashes = distill(recipe, tmp_path / "home", heard.append, fresh=fresh).hashes
        assert any(isinstance(event, Note) and SYSTEM[:20] in event.text for event in heard)
        return {event.stage: event.skipped for event in heard if isinstance(event, StageDone)}, hashes

    first, again, anew = stages(False), stages(False), stages(True)
    assert set(first[0].values()) == set(anew[0].values()) == {False}
    assert set(again[0].values()) == {True}
    assert first[1] == again[1] == anew[1]
    assert first[1] == json.loads((plain / "printed.json").read_text())["hashes"] | {
        name: first[1][name] for name in ("stillhouse.json", "certificate.json", "all")
    }, "another home makes the same student"


def test_another_seed_makes_another_student(plain, tmp_path):
    other = distil(plain / "calls.jsonl", tmp_path, *WORDS, "--seed", 1)["hashes"]
    assert other["all"] != json.loads((plain / "printed.json").read_text())["hashes"]["all"]


@pytest.mark.slow
def test_the_real_encoder(plain, tmp_path):
    printed = distil(plain / "calls.jsonl", tmp_path, "--encoder", "minilm", "--student", "encoder-2")
    assert printed["ladder"][0]["agreement"] > 0.9
