"""Fixtures: the databases of the tests of storage."""

from __future__ import annotations

from tests.storage.conftest import url

__all__ = ["url"]
