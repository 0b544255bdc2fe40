from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.cache import Artifact, StageCache
from stillhouse.training.events import StageDone


class Work:
    """A stage that counts how often it is made, and can be interrupted."""

    def __init__(self) -> None:
        self.made = 0
        self.interrupt = False

    def __call__(self, folder: Path) -> str:
        self.made += 1
        (folder / ".scratch").write_text((folder / ".scratch").read_text() + "+" if self.made > 1 else "+")
        if self.interrupt:
            raise KeyboardInterrupt
        (folder / "result").write_text("the same")
        return f"made {self.made} times"


@pytest.fixture
def heard() -> list:
    return []


def make(home: Path, work: Work, heard: list, inputs: dict | None = None, fresh: bool = False) -> Artifact:
    return StageCache(home, heard.append, fresh).stage("words", "Student words", inputs or {"seed": 0}, work)


def test_a_stage_is_made_once_for_the_same_inputs(tmp_path, heard):
    work = Work()
    first, second = (make(tmp_path, work, heard) for _ in range(2))
    assert (first, work.made) == (second, 1)
    assert [event.skipped for event in heard if isinstance(event, StageDone)] == [False, True]
    assert sorted(path.name for path in first.path.iterdir()) == [".stage.json", "result"]


def test_other_inputs_make_it_anew_beside_the_old_one(tmp_path, heard):
    first, second = make(tmp_path, Work(), heard), make(tmp_path, Work(), heard, {"seed": 1})
    assert first.path != second.path
    assert first.hash == second.hash, "the hash is of the content alone"


def test_what_was_begun_is_gone_on_with(tmp_path, heard):
    work = Work()
    work.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, work, heard)
    (partial,) = (tmp_path / "stages").glob("*.partial")
    assert (partial / ".scratch").read_text() == "+"
    work.interrupt = False
    done = make(tmp_path, work, heard)
    assert (done.path / "result").is_file()
    assert not partial.exists()


def test_fresh_does_it_again(tmp_path, heard):
    work = Work()
    make(tmp_path, work, heard)
    work.made = 0
    make(tmp_path, work, heard, fresh=True)
    assert work.made == 1


def test_fresh_does_each_stage_again_once_however_often_a_run_asks_for_it(tmp_path, heard):
    make(tmp_path, Work(), heard)
    work, cache = Work(), StageCache(tmp_path, heard.append, fresh=True)
    first = cache.stage("words", "Student words", {"seed": 0}, work)
    (first.path / "points-here").touch()
    again = [cache.stage("words", "Student words", {"seed": 0}, work) for _ in range(2)]
    assert work.made == 1
    assert again == [first, first]
    assert (first.path / "points-here").exists()


def test_two_runs_do_not_share_a_home(tmp_path, heard):
    with StageCache(tmp_path, heard.append).locked():
        with pytest.raises(UsageError, match="Another run is at work"), StageCache(tmp_path, heard.append).locked():
            pass
        with StageCache(tmp_path / "other", heard.append).locked():
            pass
    with StageCache(tmp_path, heard.append).locked():
        pass


def test_a_home_that_cannot_be_is_named(tmp_path, heard):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        StageCache(tmp_path / "file", heard.append)
