"""`stillhouse export`: a student for another runtime, and clear words where that cannot be."""

from __future__ import annotations

from stillhouse.export.web_runtime import RUNTIME
from tests.recipes.runs import calls, run, write


def test_a_student_is_exported_and_its_likeness_told(plain, tmp_path):
    done = run("export", plain / "student", "--to", "onnx", "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    assert done.json["to"] == "onnx"
    assert done.json["parity"]["agreement"] == 1.0
    assert set(done.json["files"]) == {"model.onnx", "signature.json"}
    assert "Comparing on" in done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.onnx", "signature.json", "export.json"}


def test_in_words_too_and_on_rows_of_a_file(plain, tmp_path):
    rows = write(tmp_path / "rows.jsonl", calls(("a",), 12))
    done = run("export", plain / "student", "--to", "onnx", "--out", tmp_path / "out", "--verify", rows)
    assert done.code == 0, done.err
    assert "On 12 rows of rows.jsonl: 100.00% of 12 answers are the same" in " ".join(done.out.split())


def test_wrong_use_is_told(plain, tmp_path):
    student, out = plain / "student", tmp_path / "out"
    for arguments, told in (
        ((student, "--out", out), "Say what to export"),
        ((student, "--to", "tea", "--out", out), "Choose one of: onnx"),
        ((student, "--to", "onnx", "--what", "files", "--out", out), "are for what a server keeps"),
        ((student, "--to", "onnx", "--project", "default", "--out", out), "are for what a server keeps"),
        (("--to", "onnx", "--out", out), "Name its bundle"),
        ((tmp_path / "none", "--to", "onnx", "--out", out), "is no folder"),
        ((student, "--to", "onnx", "--out", out, "--verify", tmp_path / "none"), "is not there"),
    ):
        done = run("export", *arguments, "--json")
        assert done.code == 2, arguments
        assert told in done.json["error"]["message"]
    assert not out.exists()


def test_a_page_is_made_of_the_packages_in_the_home_that_is_named(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STILLHOUSE_HOME", raising=False)
    archive = tmp_path / "home" / "web" / RUNTIME.archive
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"another archive")
    done = run("export", plain / "student", "--to", "web", "--home", tmp_path / "home", "--out", tmp_path / "out")
    assert done.code == 2
    assert f"{archive} is not {RUNTIME.name}" in " ".join(done.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_a_server_keeps_is_exported_without_a_student(tmp_path):
    done = run("export", "--home", tmp_path / "none", "--out", tmp_path / "out")
    assert done.code == 2
    assert "There is nothing to export" in done.err
