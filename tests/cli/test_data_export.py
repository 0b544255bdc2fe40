"""`stillhouse data export`: versions as files of other tools."""

from __future__ import annotations

import json

from stillhouse.cli.main import run
from tests.cli.datasets_for_tests import told, told_json
from tests.data.importers.reading import picture

__all__ = ["told", "told_json"]


def test_a_version_is_written_and_read_again_as_it_was(told, told_json, tmp_path):
    out = tmp_path / "support.parquet"
    done = told_json("export", "support", "--format", "parquet", "--out", str(out))
    assert done == {
        "version": "support@1",
        "format": "parquet",
        "out": str(out),
        "written": 60,
        "left_out": {},
        "terms": [],
    }
    again = told_json("import", str(out), "--name", "again")
    assert again["hash"] == told_json("show", "support")["hash"]


def test_what_a_format_cannot_tell_is_said(told, told_json, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text('{"prompt": "which", "chosen": "this", "rejected": "that"}\n')
    told_json("import", str(more), "--name", "support", "--add")
    done = told_json("export", "support", "-f", "dpo", "-o", str(tmp_path / "a.jsonl"))
    assert (done["written"], done["left_out"]) == (1, {"it has no better and worse answer": 60})
    assert "60 left out" in told("export", "support", "-f", "dpo", "-o", str(tmp_path / "b.jsonl"))[1]
    code, words = told("export", "support@1", "-f", "dpo", "-o", str(tmp_path / "c.jsonl"))
    assert code == 1
    assert "it has no better and worse answer (60). Nothing was written." in words
    assert not (tmp_path / "c.jsonl").exists()


def test_files_that_are_there_are_replaced_only_on_demand(told, told_json, tmp_path):
    out = tmp_path / "a.jsonl"
    out.write_text("mine")
    code, words = told("export", "support", "-o", str(out))
    assert (code, out.read_text()) == (2, "mine")
    assert "--replace" in words
    assert told("export", "support", "-o", str(out), "--replace")[0] == 0
    assert len(json.loads(out.read_text().splitlines()[0])["messages"]) == 2


def test_formats_are_listed_and_others_refused(told, told_json):
    assert "sharegpt" in told("export", "help")[1]
    assert told_json("export", "help")["formats"]["parquet"]
    code, words = told("export", "support", "--format", "parket")
    assert code == 2
    assert "Did you mean parquet?" in words


def test_pictures_come_back_to_the_byte(told, told_json, tmp_path):
    (tmp_path / "in" / "red").mkdir(parents=True)
    (tmp_path / "in" / "red" / "a.png").write_bytes(picture())
    told_json("import", str(tmp_path / "in"), "--name", "pictures")
    told_json("export", "pictures", "-f", "images", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "red" / "a.png").read_bytes() == picture()


def test_the_terms_of_the_teachers_go_with_the_rows(told, told_json, tmp_path, capsys):
    told_json("list")
    add = ["terms", "add", "fair", "--model", "m0", "--attribution", "Made with Fair", "--allow", "train"]
    assert run([*add, "--home", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    words = told("export", "support", "-o", str(tmp_path / "a.jsonl"))[1]
    assert "30 answered by m0, whose terms allow train, want the attribution 'Made with Fair'" in words
    assert "30 answered by m1, whose terms are not known here" in words
    done = told_json("export", "support", "-o", str(tmp_path / "b.jsonl"))
    assert [(each["name"], each["attribution"]) for each in done["terms"]] == [("m0", "Made with Fair"), ("m1", "")]
