"""A folder is written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.export.folders import check_out, written_into, written_whole

AT_WORK = """
import sys, time
from pathlib import Path
from stillhouse.export.folders import written_whole
with written_whole(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print(folder.parent, flush=True)
    time.sleep(600)
"""


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


@pytest.fixture
def at_work(tmp_path):
    """A run of another process that writes to `out`, and the hidden folder in which it does."""
    run = subprocess.Popen([sys.executable, "-c", AT_WORK, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    yield run, Path(run.stdout.readline().strip())
    run.kill()
    run.communicate()


def test_what_a_killed_run_left_is_put_away_and_what_one_at_work_has_is_not(tmp_path, at_work):
    run, room = at_work
    with written_whole(tmp_path / "out") as folder:
        (folder / "whole").write_text("whole")
    assert (room / "new" / "half").is_file()
    run.kill()
    run.wait()
    (tmp_path / ".out.backup-1").mkdir()
    (tmp_path / ".output.partial-1").mkdir()
    with written_whole(tmp_path / "out") as folder:
        (folder / "again").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.backup-1", ".output.partial-1", "out"]


def test_the_earlier_folder_comes_back_where_a_run_was_killed_between_taking_it_away_and_putting_its_own(
    tmp_path, at_work
):
    run, room = at_work
    (room / "old").mkdir()
    (room / "old" / "kept").write_text("kept")
    run.kill()
    run.wait()
    with pytest.raises(ValueError, match="torn"), written_whole(tmp_path / "out"):
        raise ValueError("torn")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "kept").is_file()


def test_what_cannot_be_put_into_its_place_is_left_beside_it_and_the_earlier_stays(tmp_path):
    out = tmp_path / "out"
    with written_whole(out) as folder:
        (folder / "kept").write_text("kept")
    writing = written_whole(out)
    folder = writing.__enter__()
    (folder / "whole").write_text("whole")
    (folder.parent / "old").write_text("a file stands where the earlier folder is to go")
    with pytest.raises(UsageError, match="cannot be replaced") as told:
        writing.__exit__(None, None, None)
    assert (out / "kept").is_file()
    [beside] = [path for path in tmp_path.iterdir() if path != out]
    assert [path.name for path in beside.iterdir()] == ["whole"]
    assert str(beside) in str(told.value)


def test_the_earlier_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path):
    out = tmp_path / "out"
    with written_whole(out) as folder:
        (folder / "kept").write_text("kept")
    with pytest.raises(FileNotFoundError), written_whole(out) as folder:
        folder.rmdir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "kept").is_file()


def test_a_folder_can_be_read_by_those_who_read_others(tmp_path):
    (tmp_path / "usual").mkdir()
    with written_whole(tmp_path / "out"):
        pass
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_files_come_into_a_folder_together_and_others_stay(tmp_path):
    (tmp_path / "letter").write_text("mine")
    (tmp_path / "model").write_text("old")
    with written_into(tmp_path) as folder:
        (folder / "model").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter", "model"]
    assert (tmp_path / "model").read_text() == "new"
    with pytest.raises(IsADirectoryError), written_into(tmp_path / "out") as folder:
        folder.write_text("a folder is no file")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="is a file"), written_into(tmp_path / "letter"):
        pass


def test_places_that_will_not_do(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one").write_text("x")
    for out, kept, told in (
        (tmp_path / "file", (), "is a file"),
        (tmp_path / "file" / "below", (), "is a file"),
        (tmp_path / "letters", (), "holds other things"),
        (tmp_path / "out", (tmp_path / "out" / "home",), "would replace"),
        (Path("/"), (), "mount point"),
    ):
        with pytest.raises(UsageError, match=told):
            check_out(out, "mark", kept)
    (tmp_path / "letters" / "mark").write_text("x")
    check_out(tmp_path / "letters", "mark", ())
