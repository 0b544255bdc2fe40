"""`stillhouse label` at the terminal."""

from __future__ import annotations

import json

from tests.gateway.serving import served
from tests.generation.endpoint import Endpoint
from tests.recipes.runs import run
from tests.recipes.tiny_recipes import flags, prepare


def test_signals_are_written_once(tmp_path):
    path, changes = prepare("offline", tmp_path)
    place = (*flags(changes), "--home", tmp_path / "home")
    done = run("label", path, *place, "--json")
    assert done.code == 0, done.err
    assert (done.json["samples"], done.json["skipped"]) == (18, False)
    assert "18 samples, topk:50" in done.err
    again = run("label", path, *place)
    assert "(done before)" in again.err
    assert done.json["signals"] in again.out


def test_how_much_is_kept_is_an_option(tmp_path):
    path, changes = prepare("offline", tmp_path)
    done = run("label", path, *flags(changes), "--home", tmp_path / "home", "--signals", "samples:20")
    assert (done.code, "18 samples, samples:20" in done.err) == (0, True)
    done = run("label", path, *flags(changes), "--home", tmp_path / "home", "--signals", "top:50")
    assert (done.code, "keep = 'top:50' is none of" in done.err) == (2, True)


def test_a_dry_run_asks_nothing(tmp_path):
    path, changes = prepare("offline", tmp_path)
    done = run("label", path, *flags(changes), "--home", tmp_path / "home", "--dry-run")
    assert (done.code, "dry run" in done.out) == (0, True)
    assert not (tmp_path / "home").exists()


def test_without_a_teacher_there_is_nothing_to_keep(tmp_path):
    path, changes = prepare("self_ema", tmp_path)
    done = run("label", path, *flags(changes), "--home", tmp_path / "home")
    assert (done.code, "names no teacher" in done.err) == (2, True)


def test_a_teacher_behind_an_api_answers_and_its_words_are_learnt(tmp_path):
    path, changes = prepare("api", tmp_path)
    rows = [{"prompt": f"where is my parcel {number}"} for number in range(12)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    endpoint = Endpoint()
    with served(endpoint.app()) as url:
        small = [*changes, f"teacher.api.url={url}", "teacher.api.model=large"]
        place = (*flags(small), "--home", tmp_path / "home")
        dry = run("label", path, *place, "--dry-run")
        assert (dry.code, "12 to be answered" in dry.out, endpoint.asked) == (0, True, [])
        assert "large" in dry.out
        assert run("train", path, *place).code == 2, "nothing was asked yet"
        done = run("run", path, *place, "--set", "teacher.api.key_env=NO_SUCH_KEY")
        assert (done.code, "NO_SUCH_KEY is empty or not set" in done.err) == (2, True)
        (tmp_path / "recipe.toml").write_text(path.read_text().replace('key_env = "OPENAI_API_KEY"', ""))
        done = run("label", path, *place)
        assert (done.code, "12 rows, 12 questions asked" in done.err) == (0, True), done.err
        assert "Answers: " in done.out
        done = run("run", path, *place, "--json")
    assert done.code == 0, done.err
    assert len(endpoint.asked) == 12
    assert done.json["data"]["rows"] == {"train": 11, "selection": 1, "test": 1}
    assert done.json["recipe"]["teacher"]["api"]["model"] == "large"
    assert {"loss", "perplexity"} <= set(done.json["evaluation"]["student"])
