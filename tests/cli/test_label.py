"""`stillhouse label` at the terminal."""

from __future__ import annotations

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
    assert (done.code, "keep = 'top:50' is neither" in done.err) == (2, True)


def test_a_dry_run_asks_nothing(tmp_path):
    path, changes = prepare("offline", tmp_path)
    done = run("label", path, *flags(changes), "--home", tmp_path / "home", "--dry-run")
    assert (done.code, "dry run" in done.out) == (0, True)
    assert not (tmp_path / "home").exists()


def test_without_a_teacher_there_is_nothing_to_keep(tmp_path):
    path, changes = prepare("self_ema", tmp_path)
    done = run("label", path, *flags(changes), "--home", tmp_path / "home")
    assert (done.code, "names no teacher" in done.err) == (2, True)
