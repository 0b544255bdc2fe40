from __future__ import annotations

import inspect
import pickle

import pytest

from stillhouse import errors

OURS = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", OURS, ids=lambda error: error.__name__)
def test_every_error_is_drawn_in_the_tree_and_says_how_to_exit(error):
    assert error.__name__ in (errors.__doc__ or "")
    assert issubclass(error, errors.StillhouseError)
    assert error.exit_code == (2 if issubclass(error, errors.UsageError) else 1)


def test_a_bad_row_is_named_by_file_and_line():
    error = errors.BadRow("calls.jsonl", 7, "this is not JSON")
    assert str(error) == "calls.jsonl, line 7: this is not JSON"


def test_a_teacher_error_keeps_what_the_teacher_said():
    error = errors.TeacherUnavailable("no answer after 3 tries", status=503, body=b"busy")
    assert (error.status, error.body, str(error)) == (503, b"busy", "no answer after 3 tries")


def test_an_error_crosses_processes():
    assert str(pickle.loads(pickle.dumps(errors.NotATask("free text")))) == "free text"
