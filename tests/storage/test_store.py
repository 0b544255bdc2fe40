"""A store keeps what it is given, also what still waits when it is closed."""

from __future__ import annotations

from stillhouse.storage.records import Durability
from stillhouse.storage.store import Store
from tests.storage.stored import completion


async def test_a_store_is_found_again_with_all_that_was_in_it(url, tmp_path):
    store = await Store.open(url, tmp_path, Durability.ASYNC)
    await store.completions.add("p", completion(1))
    await store.close()
    again = await Store.open(url, tmp_path)
    assert await again.completions.get("p", "chatcmpl-000001") == completion(1)
    await again.close()
