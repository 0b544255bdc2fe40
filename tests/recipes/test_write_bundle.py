from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.recipes.write_bundle import TRAINED, check_place, student_files, write_bundle


def place(out: Path, traffic: str = "calls.jsonl") -> DistillRecipe:
    return DistillRecipe(traffic=(Path(traffic),), out=out)


def test_new_empty_and_earlier_places_will_do(tmp_path):
    earlier = tmp_path / "earlier"
    for folder in (earlier, tmp_path / "empty"):
        folder.mkdir()
    (earlier / "stillhouse.json").write_text("{}")
    for out in (earlier, tmp_path / "empty", tmp_path / "new" / "deep"):
        check_place(place(out), tmp_path / "home")
    assert not (tmp_path / "new").exists()


def test_nothing_of_the_users_is_replaced(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one").write_text("x")
    (tmp_path / "file").write_text("x")
    out = tmp_path / "out"
    for recipe, home, told in (
        (place(tmp_path / "letters"), tmp_path / "home", "holds other things"),
        (place(tmp_path / "file"), tmp_path / "home", "is a file"),
        (place(tmp_path / "file" / "deep" / "er"), tmp_path / "home", "is a file"),
        (place(out), out, "would replace"),
        (place(out), out / "home", "would replace"),
        (place(out, str(out / "calls.jsonl")), tmp_path / "home", "would replace"),
    ):
        with pytest.raises(UsageError, match=told):
            check_place(recipe, home)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="/proc is a folder of Linux, which takes none even of root")
def test_a_place_that_takes_no_folder_is_refused_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="/proc takes no folder"):
        check_place(place(Path("/proc/bundle")), tmp_path / "home")


def test_a_bundle_that_cannot_be_finished_leaves_the_earlier_one(tmp_path, plain):
    out = tmp_path / "student"
    out.mkdir()
    (out / "stillhouse.json").write_text("earlier")
    with pytest.raises(FileNotFoundError):
        write_bundle(out, [tmp_path / "none.onnx"], None)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["student"]
    assert (out / "stillhouse.json").read_text() == "earlier"


def test_files_are_named_with_their_hashes(plain):
    (name, digest), *others = student_files([plain / "student" / "student" / "model.onnx"]).items()
    assert (name, len(digest), others) == ("student/model.onnx", 64, [])
    assert student_files([plain / "student" / "trained" / "student.json"], TRAINED).keys() == {"trained/student.json"}
