"""The shelf is opened once, by whoever comes first, and not at all when nobody does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.errors import StorageError
from stillhouse.gateway.shelf import Shelf
from tests.storage.databases import new_database

ROOT = Path(__file__).resolve().parents[2]


async def test_all_that_come_at_once_get_the_same(tmp_path, own_database):
    shelf = Shelf(own_database, tmp_path)
    stores = await asyncio.gather(*[shelf.open() for _ in range(5)])
    assert len({id(store) for store in stores}) == 1
    await shelf.close()
    assert await shelf.open() is not stores[0]
    await shelf.close()


async def test_what_could_not_be_opened_is_tried_anew(tmp_path):
    (tmp_path / "home").write_text("in the way")
    shelf = Shelf(None, tmp_path / "home")
    with pytest.raises(StorageError):
        await shelf.open()
    (tmp_path / "home").unlink()
    await shelf.open()
    await shelf.close()


async def test_so_is_a_database_that_was_not_there(tmp_path, postgres_url):
    shelf = Shelf(f"{postgres_url}/comes_later", tmp_path)
    with pytest.raises(StorageError):
        await shelf.open()
    await new_database(postgres_url, "comes_later")
    await shelf.open()
    await shelf.close()


def test_a_gateway_whose_shelf_nobody_needs_loads_no_database():
    code = """
import sys
from pathlib import Path
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords
create_app(House.of([Keywords()]), shelf=Shelf(None, Path("nowhere")))
print(*[name for name in ("sqlalchemy", "alembic", "aiosqlite", "greenlet") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
