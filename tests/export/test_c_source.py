"""C source is plain, labels survive, and a folder appears whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.export.c_source import Answers, array, write_folder


def test_arrays_are_what_c99_takes():
    assert array("few", np.array([1, -2], dtype=np.int8)) == "static const signed char few[2] = {\n    1, -2,\n};\n"
    made = array("ends", np.array([[-(2**31), 2**31 - 1]], dtype=np.int32))
    assert "int32_t ends[1][2]" in made
    assert "{-2147483647 - 1, 2147483647}" in made
    assert "4294967295u" in array("wide", np.array([2**32 - 1], dtype=np.uint32))
    long = array("long", np.arange(100, dtype=np.int32))
    assert max(map(len, long.splitlines())) <= 120


@pytest.mark.parametrize(
    ("labels", "temperatures", "told"),
    [((), (), "needs labels"), (((),), (1.0,), "needs labels"), ((("a",),), (0.0,), "temperature"),
     ((("a",), ("b",)), (1.0,), "temperature"), ((("a\tb",),), (1.0,), "tab")],
)  # fmt: skip
def test_answers_that_cannot_be_written_are_refused(labels, temperatures, told):
    with pytest.raises(UsageError, match=told):
        Answers(labels, temperatures)


def test_a_folder_is_replaced_only_when_it_is_one_of_ours(tmp_path):
    out = tmp_path / "out"
    first = write_folder(out, {"a.c": "1", "b.c": "2"}, {"x": 1})
    assert [path.name for path in first] == ["a.c", "b.c", "student.json"]
    write_folder(out, {"a.c": "3"}, {"x": 2})
    assert sorted(path.name for path in out.iterdir()) == ["a.c", "student.json"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="other things"):
        write_folder(other, {"a.c": "1"}, {})
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_folder(tmp_path / "out", {"a.c": "1"}, {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
