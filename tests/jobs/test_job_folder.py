"""JobFolder: what is told is read in whole lines, and nothing in it is ever half there."""

from __future__ import annotations

from stillhouse.jobs.job_folder import JobFolder


def test_rows_and_plans_come_back(tmp_path):
    folder = JobFolder.of(tmp_path, "ftjob-1")
    assert not folder.has_rows
    assert folder.write_rows("train", [{"a": 1}, {"b": "é"}]) == 2
    assert folder.has_rows
    assert folder.read_rows("train") == [{"a": 1}, {"b": "é"}]
    assert folder.read_rows("valid") == []
    folder.write_plan({"tune": {"epochs": 3}})
    assert folder.read_plan() == {"tune": {"epochs": 3}}


def test_only_whole_lines_are_read_and_a_torn_one_is_mended(tmp_path):
    folder = JobFolder(tmp_path)
    assert folder.told() == ([], 0)
    folder.tell({"step": 1})
    with (tmp_path / "told.jsonl").open("ab") as file:
        file.write(b'{"step": 2')
    lines, end = folder.told()
    assert lines == [{"step": 1}]
    assert folder.told(end) == ([], end)
    folder.mend()
    folder.tell({"step": 2})
    assert folder.told(end)[0] == [{"step": 2}]


def test_steps_come_once_as_they_were_told_last(tmp_path):
    folder = JobFolder(tmp_path)
    for line in ({"step": 2, "x": 1}, {"step": 1}, {"kept": 2}, {"step": 2, "x": 2}, {"rung": 3, "name": "words"}):
        folder.tell(line)
    assert [(line["step"], line.get("x")) for line in folder.steps()] == [(1, None), (2, 2), (3, None)]


def test_clearing_leaves_what_was_told_and_the_models(tmp_path):
    folder = JobFolder(tmp_path / "job")
    folder.write_rows("train", [{}])
    folder.tell({"done": True})
    (folder.path / "epochs" / "3").mkdir(parents=True)
    (folder.path / "stages").mkdir()
    folder.clear()
    assert sorted(path.name for path in folder.path.iterdir()) == ["epochs", "told.jsonl"]
    folder.remove()
    assert not folder.path.exists()
