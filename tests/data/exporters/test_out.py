from __future__ import annotations

import pytest

from stillhouse.data.exporters.out import Exported, Unfit, new_file, new_folder, write_lines
from stillhouse.errors import DataError, UsageError
from tests.data.exporters.made_items import EVERY, TEXT


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    out = tmp_path / "deep" / "a.jsonl"

    def torn():
        yield TEXT
        raise RuntimeError("torn")

    assert write_lines([TEXT], out, lambda item: {"a": 1}) == Exported(1)
    with pytest.raises(RuntimeError):
        write_lines(torn(), out, lambda item: {"a": 2})
    assert out.read_text() == '{"a":1}\n'
    assert [path.name for path in out.parent.iterdir()] == ["a.jsonl"]


def test_what_does_not_fit_is_counted(tmp_path):
    def told(item):
        if item.label is None:
            raise Unfit("it has no label")
        return {}

    done = write_lines(EVERY, tmp_path / "a", told)
    assert (done.written, done.left_out) == (2, {"it has no label": 4})


def test_nothing_takes_the_place_of_a_file_where_no_item_fits(tmp_path):
    def told(item):
        raise Unfit("it has no answer")

    out = tmp_path / "a"
    out.write_text("mine")
    with pytest.raises(DataError, match=r"it has no answer \(6\)\. Nothing was written"):
        write_lines(EVERY, out, told)
    assert out.read_text() == "mine"
    assert write_lines([], tmp_path / "b", told) == Exported(0)


def test_folders_that_are_there_and_files_in_the_place_of_folders_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    with pytest.raises(UsageError, match="is there already"), new_folder(tmp_path / "a"):
        pass
    with pytest.raises(UsageError, match="is a folder"), new_file(tmp_path / "a"):
        pass
    with new_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "b" / "x").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
