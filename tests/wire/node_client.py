"""The pinned Node client, installed once and kept beside other things that are built; and what its scripts saw."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("node")
BUILT = Path(__file__).resolve().parents[2] / "build" / "node"


def seen_by_node(script: str, *arguments: str, seconds: float = 120) -> dict:
    """What a script of `tests/wire/node` prints; skips the test where there is no Node client to be had."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not (npm and node):
        pytest.skip("needs Node 20 or newer with npm")
    BUILT.mkdir(parents=True, exist_ok=True)
    with BUILT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run beside this one want it too
        _install(npm)
        for source in SOURCE.glob("*.mjs"):
            _copy(source, BUILT / source.name)
    run = subprocess.run([node, script, *arguments], cwd=BUILT, capture_output=True, text=True, timeout=seconds)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _install(npm: str) -> None:
    lock, done = SOURCE / "package-lock.json", BUILT / "installed-lock.json"
    if done.is_file() and done.read_bytes() == lock.read_bytes():
        return
    for file in (SOURCE / "package.json", lock):
        shutil.copy(file, BUILT)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    run = subprocess.run(command, cwd=BUILT, capture_output=True, text=True, timeout=240)
    if run.returncode:
        pytest.skip(f"the Node client cannot be installed: {(run.stderr.strip().splitlines() or ['?'])[-1]}")
    shutil.copy(lock, done)


def _copy(source: Path, target: Path) -> None:
    """A script where it finds the client; one that is there already is left alone: it may be read at this moment."""
    if not (target.is_file() and target.read_bytes() == source.read_bytes()):
        shutil.copy(source, target)
