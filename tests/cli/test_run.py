"""`stillhouse run` at the terminal: label, shrink, train, evaluate in one command."""

from __future__ import annotations

from tests.recipes.runs import run
from tests.recipes.tiny_recipes import flags, prepare


def test_one_command_labels_trains_and_measures(tmp_path):
    path, changes = prepare("offline", tmp_path)
    place = (*flags([*changes, "student.layers=2"]), "--home", tmp_path / "home")
    done = run("run", path, *place)
    assert done.code == 0, done.err
    assert all(f"✓ {stage}" in done.err for stage in ("label", "shrink", "train", "evaluate"))
    assert "on the test rows" in done.out
    assert all(figure in done.out for figure in ("perplexity", "kl_to_teacher", "top1_agreement"))
    again = run("run", path, *place, "--json")
    assert again.err.count("(done before)") == 4
    assert set(again.json["evaluation"]) == {"student", "teacher", "rows"}


def test_encoders_are_measured_by_their_vectors(tmp_path):
    path, changes = prepare("embeddings", tmp_path)
    test = tmp_path / "train.jsonl"
    done = run("run", path, *flags([*changes, f"data.test={test}"]), "--home", tmp_path / "home", "--json")
    assert done.code == 0, done.err
    assert set(done.json["evaluation"]["student"]) == {"cosine", "neighbours", "spearman"}


def test_a_dry_run_does_nothing(tmp_path):
    path, changes = prepare("offline", tmp_path)
    done = run("run", path, *flags(changes), "--home", tmp_path / "home", "--dry-run")
    assert (done.code, "dry run" in done.out) == (0, True)
    assert not (tmp_path / "home").exists()
