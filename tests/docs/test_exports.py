"""What the pages of exports show does what they say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.recipes.export import TARGETS, export_student
from tests.export.opened import subject
from tests.export.students import make_bundle
from tests.structure.source import ROOT


def programs(page: str) -> list[str]:
    text = (ROOT / "docs" / f"export-{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def said(program: str, folder: Path) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_programs_of_the_onnx_page_run(tmp_path):
    classify, write, read = programs("onnx")
    export_student(make_bundle(tmp_path / "student", "encoder"), "onnx", tmp_path / "student-onnx")
    labels = ast.literal_eval(said(classify, tmp_path))
    assert [label.startswith("topic") for label in labels] == [True, True]
    export_student(tmp_path / "student", "onnx-text", tmp_path / "student-text")
    assert re.fullmatch(r"\[\d+\]\s*", said(read, tmp_path))
    export_student(subject("llama", tmp_path).folder, "onnx", tmp_path / "writer-onnx")
    assert said(write, tmp_path).strip()


@pytest.mark.slow
def test_the_program_of_the_safetensors_page_runs(tmp_path):
    [program] = programs("safetensors")
    export_student(make_bundle(tmp_path / "student", "encoder"), "safetensors", tmp_path / "student-hf")
    labels = ast.literal_eval(said(program, tmp_path).splitlines()[-1])
    assert [label.startswith("topic") for label in labels] == [True, True]


def test_every_export_is_shown_on_a_page():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("export-*.md"))
    for name in TARGETS:
        family = name.partition("-")[0]
        assert (ROOT / "docs" / f"export-{family}.md").is_file() or f"--to {name}" in pages, name
