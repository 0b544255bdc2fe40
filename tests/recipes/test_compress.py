"""Compression end to end: goals reached and missed, the folder, resuming, repeats, bad requests."""

from __future__ import annotations

import json
import time
from shutil import copytree

import pytest

from stillhouse.artifacts import hash_folder
from stillhouse.errors import UsageError
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.models.load import fingerprint_all
from stillhouse.recipes.compression import task_of
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.sections import TaskName
from tests.recipes.compressions import SIZE, TOPICS, compress, small, trained
from tests.recipes.runs import client, run, start, write

__all__ = ["small", "trained"]


@pytest.mark.slow
def test_a_size_is_reached(small):
    told = small[1]
    chosen = told["forms"][told["chosen"]]
    assert told["reached"]
    assert chosen["bytes"] <= 250_000 < told["whole"]["bytes"]
    assert told["test"]["whole"] - told["test"]["quality"] < 0.1
    assert told["rows"]["test"] == told["certificate"]["test_rows"]
    assert told["rows"]["test"] + told["rows"]["calibration"] == 200


@pytest.mark.slow
def test_what_was_made_smaller_is_served(small, trained):
    rows = [json.loads(line) for line in (trained / "test.jsonl").read_text().splitlines()[:20]]
    bundle = small[0] / "small"
    predicted = OnnxClassifier.open(bundle).predict([row["text"] for row in rows]).probabilities[0].argmax(1)
    with client(bundle) as ask:
        for row, number in zip(rows[:5], predicted, strict=False):
            messages = [{"role": "user", "content": row["text"]}]
            said = ask.chat.completions.create(model="small", messages=messages).choices[0].message.content
            assert said == f"topic {number}"
    assert (predicted == [int(row["label"][-1]) for row in rows]).mean() > 0.8


def test_the_model_behind_it_can_be_opened_and_exported_again(small):
    subject = open_student(small[0] / "small" / "model")
    assert subject.fields == (TOPICS,)
    chosen = small[1]["forms"][small[1]["chosen"]]
    assert sum(weight.numel() for weight in subject.module.parameters()) == chosen["parameters"]


def test_figures_of_healing_stay_with_its_stage(small):
    assert not list((small[0] / "small").rglob("metrics.jsonl"))
    assert list((small[0] / "home" / "stages").glob("heal-*/metrics.jsonl"))


def test_the_page_shows_what_was_tried(small):
    page = (small[0] / "small" / "report.html").read_text()
    for form in small[1]["forms"]:
        assert form["words"] in page
    assert "<script" not in page
    assert "reached" in page


def test_a_rerun_does_nothing_again(small, trained):
    before = hash_folder(small[0] / "small" / "student")
    again = compress(trained, small[0], *SIZE)
    assert again.code == 0, again.err
    assert again.err.count("done before") >= 5
    assert hash_folder(small[0] / "small" / "student") == before


def test_figures_of_a_form_belong_to_the_whole_model_beside_which_it_was_measured(small, trained):
    kept = (small[0] / "home" / "stages").glob("form-*/.stage.json")
    depends = [json.loads(file.read_text())["inputs"] for file in kept]
    whole = fingerprint_all(str(trained / "whole"))
    assert {each["model"] for each in depends} == {whole}
    assert len({each["form"] for each in depends}) > 1


def test_what_was_made_smaller_is_not_compressed_again_but_the_model_in_it(small):
    with pytest.raises(UsageError, match="is a bundle"):
        task_of(str(small[0] / "small"))
    assert task_of(str(small[0] / "small" / "model")) is TaskName.CLASSIFICATION


def test_the_model_that_is_compressed_is_not_replaced_by_what_becomes_of_it(small, trained, tmp_path):
    copytree(small[0] / "small", tmp_path / "small")
    data = ("--data", trained / "rows.jsonl", "--test", trained / "test.jsonl", "--tokens", 32)
    place = ("--out", tmp_path / "small", "--home", tmp_path / "home", "--json")
    done = run("compress", tmp_path / "small" / "model", *data, *place, "--target-mb", 0.2)
    assert done.code == 2
    assert "would replace" in done.json["error"]["message"]
    assert (tmp_path / "small" / "model" / "config.json").is_file()


@pytest.mark.slow
def test_another_home_makes_the_same_of_what_heals_though_it_is_killed(small, trained, tmp_path):
    data = ("--data", trained / "rows.jsonl", "--test", trained / "test.jsonl", "--tokens", 32)
    place = ("--out", tmp_path / "small", "--home", tmp_path / "home", "--json")
    hit = 0
    for moment in ("trim-*.partial", "shape-*.partial", "heal-*.partial", "heal-*.partial/metrics.jsonl"):
        killed = start("compress", trained / "whole", *data, *place, *SIZE)
        while killed.poll() is None and not any((tmp_path / "home" / "stages").glob(moment)):
            time.sleep(0.001)
        hit += killed.poll() is None
        killed.kill()
        killed.communicate()
        assert not (tmp_path / "small").exists()
    assert hit >= 2
    told = compress(trained, tmp_path, *SIZE)
    assert told.code == 0, told.err
    assert told.json["forms"][0]["combination"] == small[1]["forms"][0]["combination"]
    one, other = (hash_folder(folder / "small" / "student") for folder in (small[0], tmp_path))
    assert one == other
    assert not list((tmp_path / "home").rglob("*.partial"))


def test_quality_is_kept(small, trained, tmp_path):
    wanted = ("--max-drop", 0.02, "--levers", "layers,precision", "--trials", 2)
    told = compress(trained, tmp_path, *wanted, home=small[0] / "home").json
    chosen = told["forms"][told["chosen"]]
    assert told["reached"]
    assert chosen["drop"] <= 0.02
    assert chosen["bytes"] < 0.5 * told["whole"]["bytes"]


def test_what_cannot_be_reached_is_said(small, trained, tmp_path):
    wanted = ("--target-mb", 0.001, "--levers", "precision", "--trials", 1)
    told = compress(trained, tmp_path, *wanted, home=small[0] / "home").json
    assert not told["reached"]
    assert told["goal"]["least_bytes"] > 1_000
    assert "Nothing that was tried reaches" in (tmp_path / "small" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "needs a goal"),
        (("--target-mb", -1), "must be above 0 and finite; it is -1.0"),
        (("--max-drop", 2), "share of the quality"),
        (("--target-mb", 1, "--levers", "layrs"), "Did you mean 'layers'"),
        (("--target-mb", 1, "--trials", 0), "trials must be 1 or more"),
        (("--target-mb", 1, "--rate", -1), "rate must be above 0"),
        (("--target-mb", 1, "--seed", -1), "seed must be 0 or more"),
        (("--target-mb", 1, "--seed", 2**32), "seed must be 0 or more and under"),
        (("--target-mb", 1, "--no-heal", "--learn-bits"), "Leave one of them out"),
    ],
)
def test_bad_requests_are_refused(options, told, trained, tmp_path):
    done = compress(trained, tmp_path, *options)
    assert done.code == 2
    assert told in done.json["error"]["message"]
    assert not (tmp_path / "small").exists()


def test_rows_of_another_task_and_models_of_no_kind_are_refused(trained, tmp_path):
    write(tmp_path / "chat.jsonl", [{"messages": []}])
    place = ("--out", tmp_path / "small", "--home", tmp_path / "home", "--json", "--target-mb", 1)
    done = run("compress", trained / "whole", "--data", tmp_path / "chat.jsonl", *place)
    assert done.code == 2
    assert "needs a `text`" in done.json["error"]["message"]
    for name, labels, strange in (
        ("other", ("cat", "dog"), "cat, dog"),
        ("mixed", ("topic 1", 1, TOPICS, "cat"), f"{TOPICS}, cat"),
    ):
        rows = [{"text": f"a row {at}", "label": labels[at % len(labels)]} for at in range(60)]
        data = write(tmp_path / f"{name}.jsonl", rows)
        done = run("compress", trained / "whole", "--data", data, *place)
        assert done.code == 2
        told = done.json["error"]["message"]
        assert f"does not: {strange}. It has {TOPICS}, from topic 0 to topic {TOPICS - 1}" in told
    assert not (tmp_path / "small").exists()
    done = run("compress", tmp_path / "nothing", "--data", trained / "rows.jsonl", *place)
    assert done.code == 2
    assert "is no folder, and no name" in done.json["error"]["message"]
