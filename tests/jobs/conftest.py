"""Fixtures: the databases of the tests of storage."""

from __future__ import annotations

from tests.storage.conftest import postgres_url, url

__all__ = ["postgres_url", "url"]
