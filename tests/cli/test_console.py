from __future__ import annotations

import json

import pytest

from stillhouse.cli.console import actor, emit, progress, report_failure, words


def test_the_object_is_one_ascii_line_that_reads_back(capsys):
    said = {"label": "café ☕ \ud83d", "share": 0.5}
    emit(said)
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == said


def test_a_number_that_json_cannot_say_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        emit({"agreement": float("nan")})


def test_progress_leaves_stdout_alone(capsys):
    progress().print("reading")
    words().print("done")
    told = capsys.readouterr()
    assert (told.err.strip(), told.out.strip()) == ("reading", "done")


def test_a_failure_is_said_as_it_is(capsys):
    report_failure("a [red]label[/] " + "and more " * 20)
    assert capsys.readouterr().err == "error: a [red]label[/] " + "and more " * 20 + "\n"


def test_the_log_names_who_gives_a_command():
    assert actor().startswith("terminal")
