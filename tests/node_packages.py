"""Pinned Node packages, installed once beside other built things; and what scripts beside them say."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["told_by_node"]

BUILT = Path(__file__).resolve().parents[1] / "build"


def told_by_node(
    source: Path, place: str, script: str, *arguments: str, given: str | None = None, seconds: float = 120
) -> Any:
    """What a script of the folder `source` prints beside the packages of its lock file, which lie in `build/place`.

    Skips the test where there is no Node, or the packages cannot be had.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if not (npm and node):
        pytest.skip("needs Node 20 or newer with npm")
    built = BUILT / place
    built.mkdir(parents=True, exist_ok=True)
    with built.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run beside this one want them too
        _install(npm, source, built)
        for each in source.glob("*.mjs"):
            _copy(each, built / each.name)
    command = [node, script, *arguments]
    run = subprocess.run(command, cwd=built, input=given, capture_output=True, text=True, timeout=seconds)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _install(npm: str, source: Path, built: Path) -> None:
    lock, done = source / "package-lock.json", built / "installed-lock.json"
    if done.is_file() and done.read_bytes() == lock.read_bytes():
        return
    for file in (source / "package.json", lock):
        shutil.copy(file, built)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    run = subprocess.run(command, cwd=built, capture_output=True, text=True, timeout=290)
    if run.returncode:
        pytest.skip(f"the Node packages cannot be installed: {(run.stderr.strip().splitlines() or ['?'])[-1]}")
    shutil.copy(lock, done)


def _copy(source: Path, target: Path) -> None:
    """A script where it finds its packages; one that is there already is left alone: it may be read at this moment."""
    if not (target.is_file() and target.read_bytes() == source.read_bytes()):
        shutil.copy(source, target)
