"""What tests of exports share: a home folder with the npm packages that they need, fetched once."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.export.web_runtime import RUNTIME, TOKENIZERS, fetch_package

BUILT = Path(__file__).resolve().parents[2] / "build" / "web-home"


@pytest.fixture(scope="session")
def npm_home() -> Path:
    """A home folder that holds the browser packages; skips where npm cannot fetch them."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node 20 or newer with npm")
    BUILT.mkdir(parents=True, exist_ok=True)
    with BUILT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run beside this one want them too
        try:
            for package in (RUNTIME, TOKENIZERS):
                fetch_package(package, BUILT)
        except UsageError as error:
            pytest.skip(str(error))
    return BUILT
