from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stillhouse
from stillhouse.cli import main
from stillhouse.errors import MissingExtra, NotATask

ROOT = Path(__file__).resolve().parents[2]


def fail_with(monkeypatch, error):
    """Let `stillhouse doctor` end in this error, deep inside the verb."""

    def raising(home):
        raise error

    monkeypatch.setattr("stillhouse.settings.home", raising)


def test_help_names_every_verb_and_comes_at_once(capsys):
    started = time.perf_counter()
    assert main.run(["--help"]) == 0
    assert time.perf_counter() - started < 0.5
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in main.VERBS)


def test_no_words_at_all_is_a_call_for_help(capsys):
    assert main.run([]) == 0
    assert "Usage" in capsys.readouterr().out


def test_version(capsys):
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"stillhouse {stillhouse.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [(["distil"], "distill"), (["doctor", "--jso"], "--json"), (["--verson"], "--version")],
    ids=" ".join,
)
def test_wrong_use_exits_with_two_and_names_the_nearest_word(arguments, suggestion, capsys):
    assert main.run(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert suggestion in told.err


@pytest.mark.parametrize(("error", "code"), [(NotATask("free text"), 1), (MissingExtra("not there"), 2)], ids=repr)
def test_our_errors_are_one_message_and_their_exit_code(error, code, monkeypatch, capsys):
    fail_with(monkeypatch, error)
    assert main.run(["doctor"]) == code
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"error: {error}\n")


def test_with_json_the_error_is_the_one_object_on_stdout(monkeypatch, capsys):
    fail_with(monkeypatch, NotATask("rows 3 and 9 are free text"))
    assert main.run(["doctor", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == {"error": {"type": "NotATask", "message": "rows 3 and 9 are free text"}}


def test_wrong_use_with_json_is_json_too(capsys):
    assert main.run(["doctor", "--json", "--hoem", "x"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "UsageError"
    assert "--home" in error["message"]


def test_brackets_in_a_message_stay(monkeypatch, capsys):
    fail_with(monkeypatch, MissingExtra("pip install 'stillhouse[train]'"))
    main.run(["doctor"])
    assert "stillhouse[train]" in capsys.readouterr().err


def test_the_system_refusing_is_no_fault_of_ours(monkeypatch, capsys):
    fail_with(monkeypatch, PermissionError(13, "Permission denied", "/sealed"))
    assert main.run(["doctor"]) == 1
    told = capsys.readouterr().err
    assert "/sealed" in told
    assert "fault in Stillhouse" not in told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.onnx"), "[Errno 28] No space left on device: 'a.onnx'"),
        (
            shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
            "[Errno 28] No space left on device: 'b'",
        ),
        (ValueError("No space left on device (os error 28)"), "No space left on device (os error 28)"),
        (OSError("562176 requested and 68736 written"), "A file could not be written whole (562176 requested and"),
    ],
)
def test_a_full_disk_is_told_as_such_by_whichever_library(error, told):
    message = main.told_by_system(error)
    assert message.startswith(told)
    assert message.endswith("Is the disk full? Free some room and give the same command again.")


def test_what_the_system_did_not_say_is_a_fault():
    assert main.told_by_system(ValueError("a bug")) is None
    assert main.told_by_system(PermissionError(13, "Permission denied", "a")) == "[Errno 13] Permission denied: 'a'"


def test_a_fault_is_owned_up_to_without_a_traceback(monkeypatch, capsys):
    fail_with(monkeypatch, KeyError("gone"))
    assert main.run(["doctor"]) == 1
    told = capsys.readouterr().err
    assert "fault in Stillhouse" in told
    assert "STILLHOUSE_DEBUG=1" in told
    assert "Traceback" not in told


def test_debug_shows_where(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_DEBUG", "1")
    fail_with(monkeypatch, KeyError("gone"))
    with pytest.raises(KeyError, match="gone"):
        main.run(["doctor"])


def test_an_interrupt_is_one_line_and_130(monkeypatch, capsys):
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main.run(["doctor"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_reader_who_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "stillhouse", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
