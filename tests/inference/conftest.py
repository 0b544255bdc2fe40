"""A language model that knows a few conversations by heart, taught once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def taught(tmp_path_factory) -> Path:
    from tests.inference import speakers  # it brings torch, which the tests of students do without

    return speakers.folder(tmp_path_factory.mktemp("taught") / "model", taught=True)
