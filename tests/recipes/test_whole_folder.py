"""A folder is written whole or not at all."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.whole_folder import check_out, written_whole


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path):
    out = tmp_path / "deep" / "out"
    for words in ("one", "two"):
        with written_whole(out) as folder:
            (folder / words).write_text(words)
    assert [path.name for path in out.iterdir()] == ["two"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_nothing_is_left_of_what_failed(tmp_path):
    out = tmp_path / "out"
    with written_whole(out) as folder:
        (folder / "kept").write_text("kept")
    with pytest.raises(IsADirectoryError), written_whole(out) as folder:
        folder.write_text("a folder is no file")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "kept").is_file()


def test_the_earlier_folder_comes_back_where_a_run_was_killed_between_taking_it_away_and_putting_its_own(tmp_path):
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "kept").write_text("kept")
    (tmp_path / ".out.partial").mkdir()
    with pytest.raises(ValueError, match="torn"), written_whole(tmp_path / "out"):
        raise ValueError("torn")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "kept").is_file()


def test_places_that_will_not_do(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one").write_text("x")
    for out, kept, told in (
        (tmp_path / "file", (), "is a file"),
        (tmp_path / "file" / "below", (), "is a file"),
        (tmp_path / "letters", (), "holds other things"),
        (tmp_path / "out", (tmp_path / "out" / "home",), "would replace"),
    ):
        with pytest.raises(UsageError, match=told):
            check_out(out, "mark", kept)
    (tmp_path / "letters" / "mark").write_text("x")
    check_out(tmp_path / "letters", "mark", ())
