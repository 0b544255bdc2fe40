"""Keys: made once, found by their secret, listed without it, and ended."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from stillhouse.errors import UsageError
from stillhouse.storage.keys import Keys
from stillhouse.storage.records import ApiKey, Scope


@pytest.fixture
def keys(database, writer) -> Keys:
    return Keys(database, writer)


async def test_a_key_is_found_by_its_secret_alone(keys, database):
    key, secret = await keys.create("p", "ann", [Scope.INFER, Scope.READ], expires=5)
    assert await keys.find(secret) == key
    assert (key.project, key.name, key.scopes, key.expires) == ("p", "ann", {Scope.INFER, Scope.READ}, 5)
    assert secret.startswith(key.shown)
    assert await keys.find(secret[:-1]) is None
    assert await keys.find("\udc80 ' OR 1=1 --") is None
    async with database.reading() as connection:
        rows = (await connection.execute(text("SELECT * FROM api_keys"))).all()
    assert secret[12:] not in repr(rows)
    assert secret.encode()[12:] not in b"".join(bytes(value) for value in rows[0] if isinstance(value, bytes))


async def test_every_secret_is_another(keys):
    secrets = {(await keys.create("p", str(number), [Scope.READ]))[1] for number in range(5)}
    assert len(secrets) == 5
    assert all(len(secret) == 49 for secret in secrets)


async def test_a_revoked_key_is_one_no_more_and_its_name_free(keys):
    first, secret = await keys.create("p", "ann", [Scope.READ])
    with pytest.raises(UsageError, match="'ann' already"):
        await keys.create("q", "ann", [Scope.READ])
    assert await keys.revoke("ann") == 1
    assert await keys.revoke("ann") == 0
    assert not (await keys.find(secret)).opens(time.time())
    second, _ = await keys.create("p", "ann", [Scope.READ])
    assert await keys.revoke(second.id) == 1
    assert [key.id for key in await keys.all()] == sorted([first.id, second.id])


async def test_it_is_noted_when_a_key_was_used(keys):
    key, secret = await keys.create("p", "ann", [Scope.READ])
    await keys.touch(key, 77.5)
    assert (await keys.find(secret)).used == 77


def test_a_key_opens_until_it_expires_what_its_scopes_allow():
    key = ApiKey("k", "p", "n", "s", frozenset({Scope.READ}), created=1, expires=10)
    assert key.opens(9.9)
    assert not key.opens(10)
    assert key.allows(Scope.READ)
    assert not key.allows(Scope.TRAIN)
    assert ApiKey("k", "p", "n", "s", frozenset({Scope.ADMIN}), created=1).allows(Scope.TRAIN)


async def test_a_forgotten_key_leaves_nothing(keys):
    key, secret = await keys.create("p", "worker", [Scope.INFER])
    kept, _ = await keys.create("p", "ann", [Scope.INFER])
    await keys.forget(key.id)
    assert await keys.find(secret) is None
    assert await keys.all() == [kept]


async def test_keys_of_the_same_work_are_forgotten_together(keys):
    _, secret = await keys.create("p", "run a_1 x", [Scope.INFER])
    await keys.create("p", "run a_1 y", [Scope.INFER])
    kept, _ = await keys.create("p", "run a-1 z", [Scope.INFER])  # no wildcard is meant
    await keys.forget_all("run a_1 ")
    assert await keys.find(secret) is None
    assert await keys.all() == [kept]
