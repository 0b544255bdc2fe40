"""The pinned Node packages that exports are loaded with, installed once; and what scripts beside them say."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).with_name("node")
BUILT = Path(__file__).resolve().parents[2] / "build" / "node-export"


def told_by_node(script: str, *arguments: str, questions: Any) -> Any:
    """What a script of `tests/export/node` prints; skips the test where its packages cannot be had."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not (npm and node):
        pytest.skip("needs Node 20 or newer with npm")
    BUILT.mkdir(parents=True, exist_ok=True)
    with BUILT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run beside this one want them too
        _install(npm)
        shutil.copy(SOURCE / script, BUILT)
    command = [node, script, *arguments]
    given = json.dumps(questions)
    run = subprocess.run(command, cwd=BUILT, input=given, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _install(npm: str) -> None:
    lock, done = SOURCE / "package-lock.json", BUILT / "installed-lock.json"
    if done.is_file() and done.read_bytes() == lock.read_bytes():
        return
    for file in (SOURCE / "package.json", lock):
        shutil.copy(file, BUILT)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    run = subprocess.run(command, cwd=BUILT, capture_output=True, text=True, timeout=290)
    if run.returncode:
        pytest.skip(f"the Node packages cannot be installed: {(run.stderr.strip().splitlines() or ['?'])[-1]}")
    shutil.copy(lock, done)
