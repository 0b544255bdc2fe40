"""The program of the sandbox by itself: it runs nothing where a wall it needs does not hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.evaluation.graders import inside
from stillhouse.evaluation.graders.seccomp import filter_program

SOURCE = "import os\ndef grade(sample, item):\n    open('ran', 'w').close()\n    return 1"


def run(
    folder: Path, filter_hex: str, required: list[str], source: str = SOURCE, readable: tuple[str, ...] = ()
) -> dict:
    task = {
        "source": source,
        "sample": {},
        "item": {},
        "limits": {"RLIMIT_CPU": 5},
        "readable": [os.path.realpath(sys.base_prefix), *readable],
        "folder": str(folder),
        "filter": filter_hex,
        "required": required,
    }
    done = subprocess.run(
        [sys.executable, "-I", str(Path(inside.__file__))],
        input=json.dumps(task).encode(),
        capture_output=True,
        cwd=folder,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_without_a_filter_processes_are_not_cut_off_and_nothing_is_run(tmp_path):
    answer = run(tmp_path, "", ["processes"])
    assert answer["absent"] == ["processes"]
    assert "score" not in answer
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_required_may_be_absent(tmp_path):
    answer = run(tmp_path, "", [])
    assert answer["score"] == 1.0
    assert "processes" not in answer["walls"]
    assert [path.name for path in tmp_path.iterdir()] == ["ran"]


def test_the_filter_is_what_cuts_processes_off(tmp_path):
    answer = run(tmp_path, filter_program().hex(), [])
    assert answer["score"] == 1.0
    assert ("processes" in answer["walls"]) == bool(filter_program())


@pytest.mark.parametrize(
    "change",
    ["open({}, 'a')", "os.open({}, os.O_TRUNC)", "os.open({}, 3 | os.O_TRUNC)", "os.truncate({}, 0)", "os.remove({})",
     "os.rename({}, 'mine')", "open({} + '.new', 'w')", "os.chmod({}, 0)", "os.utime({}, (0, 0))"],
)  # fmt: skip
def test_what_may_be_read_cannot_be_changed(change, tmp_path):
    library, folder = tmp_path / "library", tmp_path / "own"
    library.mkdir()
    folder.mkdir()
    file = library / "module.py"
    file.write_text("x = 1")
    grade = "import os\ndef grade(sample, item):\n    {}\n    return len(open({!r}).read())"
    assert run(folder, filter_program().hex(), [], grade.format("pass", str(file)), (str(library),))["score"] == 5.0
    answer = run(
        folder, filter_program().hex(), [], grade.format(change.format(repr(str(file))), str(file)), (str(library),)
    )
    if absent := {"files", "processes"} - set(answer["walls"]):
        pytest.skip(f"needs a kernel that can cut off {', '.join(sorted(absent))}")
    assert "score" not in answer
    assert [(path.name, path.read_text()) for path in library.iterdir()] == [("module.py", "x = 1")]
