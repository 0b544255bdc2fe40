"""Compiling tells sizes, refuses warnings, and says what a program said."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export.c_build import Program, find_compiler, lines_of, measure, require_compiler
from tests.export.c_programs import compiler

STUDENT = """
#include "student.h"
static const unsigned char table[1000] = {1, 2, 3};
static unsigned char room[500];
int student(int at)
{
    volatile int here[20];
    here[0] = at;
    room[at] = table[at];
    return room[here[0]];
}
"""
MAIN = """
#include <stdio.h>
#include "student.h"
int main(int count, char **words)
{
    int c = getchar();
    (void)words;
    printf("%d %d\\n", 65536 * count, student(c));
    return c == 'x' ? 3 : 0;
}
"""


def folder(tmp_path, student: str = STUDENT):
    (tmp_path / "student.h").write_text("int student(int at);\n")
    (tmp_path / "student.c").write_text(student)
    (tmp_path / "main.c").write_text(MAIN)
    return tmp_path


def test_sizes_are_those_of_the_student_alone(tmp_path):
    found = measure(folder(tmp_path), compiler())
    assert 1_000 < found.flash < 1_500
    assert 500 <= found.ram < 600
    assert 80 <= found.stack < 400
    assert found.flash - found.code >= 1_000
    assert found.compiler.startswith("gcc 1")
    assert "1,0" in found.sentence or "1,1" in found.sentence


def test_a_program_is_run_on_what_it_is_given(tmp_path):
    with Program(folder(tmp_path), compiler(), sanitize=True) as program:
        assert program.scores(b"\x02").tolist() == [[2.0, 3 / 2**16]]
        assert program.words(b"\x01") == ["65536 2"]
        with pytest.raises(ExportMismatch, match="ended with 3"):
            program.words(b"x")
        path = program.path
    assert not path.exists()


def test_a_warning_stops_it(tmp_path):
    careless = STUDENT.replace("here[0] = at;", "here[0] = at; int unused = 1;")
    with pytest.raises(ExportMismatch, match="unused"):
        measure(folder(tmp_path, careless), compiler())


def test_the_sanitizers_see_what_is_wrong(tmp_path):
    with Program(folder(tmp_path), compiler(), sanitize=True) as program:
        assert program.scores(b"\xff").shape == (1, 2)
    wild = STUDENT.replace("room[at] = table[at]", "room[at + 400] = table[at]")
    with (
        Program(folder(tmp_path, wild), compiler(), sanitize=True) as program,
        pytest.raises(ExportMismatch, match=r"out of bounds|overflow"),
    ):
        program.scores(b"\xff")


def test_without_a_compiler_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler() is None
    with pytest.raises(UsageError, match="apt install gcc"):
        require_compiler()


def test_a_text_is_one_line():
    assert lines_of(["a\nb", "", "c\0d"]) == b"a b\n\nc\0d\n"
    assert np.asarray(lines_of([])).size == 1
