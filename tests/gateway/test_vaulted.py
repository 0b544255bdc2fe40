"""A gateway whose calls are encrypted, erased or on hold, through the unmodified SDK."""

from __future__ import annotations

import asyncio

import openai
import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.master_key import MASTER_FILE
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.serving import Keywords, prompt, served
from tests.storage.databases import kept_bytes


def at_store(database, home, work):
    """What is done with the store of a server, as another program would."""

    async def run():
        store = await Store.open(database, home)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


@pytest.fixture
def vaulted(own_database, tmp_path):
    at_store(own_database, tmp_path, lambda store: store.vault.make("terminal:ada"))
    return own_database, tmp_path


def asked(sdk, words: str, subject: str):
    return sdk.chat.completions.create(
        model="desk/triage",
        messages=prompt(words),
        store=True,
        metadata={"subject": subject},
        extra_headers={"idempotency-key": words},
    )


def test_calls_are_encrypted_and_read_as_before_until_their_subject_is_erased(vaulted, client):
    database, home = vaulted
    with served(create_app(House.of([Keywords()]), shelf=Shelf(database, home))) as url:
        sdk = client(url)
        kept = asked(sdk, "refund for my heron", "ada")
        assert asked(sdk, "refund for my heron", "ada") == kept  # the answer that was kept for its key
        found = sdk.chat.completions.retrieve(kept.id).choices[0].message
        assert found.content == kept.choices[0].message.content
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as other:  # a message is no answer's
            assert "heron" in other.chat.completions.messages.list(kept.id).data[-1].content
        assert b"heron" not in kept_bytes(database, home)
        assert at_store(database, home, lambda store: store.vault.shred("default", "ada", "terminal:ada")) == 1
        again = asked(sdk, "and my parcel", "bob")
        listed = sdk.chat.completions.list(order="asc").data
        assert [each.id for each in listed] == [kept.id, again.id]


def test_what_was_erased_reads_as_erased(vaulted):
    database, home = vaulted
    with served(create_app(House.of([Keywords()]), shelf=Shelf(database, home))) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
        kept = asked(sdk, "refund", "ada")
        sdk.close()
    at_store(database, home, lambda store: store.vault.shred("default", "ada", "terminal:ada"))
    with served(create_app(House.of([Keywords()]), shelf=Shelf(database, home))) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
        found = sdk.chat.completions.retrieve(kept.id)
        assert (found.choices, found.model_extra["erased"], found.metadata) == ([], True, {"subject": "ada"})
        assert sdk.chat.completions.messages.list(kept.id).data == []
        [listed] = sdk.chat.completions.list().data
        assert listed.choices == []
        assert sdk.chat.completions.delete(kept.id).deleted
        sdk.close()


def test_without_the_master_key_what_is_stored_is_refused_and_the_rest_answered(vaulted, client):
    database, home = vaulted
    (home / MASTER_FILE).rename(home / "elsewhere")
    with served(create_app(House.of([Keywords()]), shelf=Shelf(database, home))) as url:
        sdk = client(url)
        with pytest.raises(openai.InternalServerError) as caught:
            asked(sdk, "refund", "ada")
        assert caught.value.status_code == 503
        assert caught.value.code == "vault_locked"
        assert sdk.chat.completions.create(model="desk/triage", messages=prompt("refund")).choices
        assert sdk.chat.completions.list().data == []


def test_a_hold_refuses_and_the_log_knows_whose_key_wanted_it(own_database, tmp_path):
    key, secret = at_store(
        own_database, tmp_path, lambda store: store.keys.create("default", "ann", [Scope.ADMIN], actor="terminal:ada")
    )
    shelf = Shelf(own_database, tmp_path)
    with served(create_app(House.of([Keywords()]), shelf, Gate(shelf))) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)
        kept = asked(sdk, "refund", "ada")
        hold = at_store(
            own_database, tmp_path, lambda store: store.holds.place("default", "case 7", "terminal", subject="ada")
        )
        for work in (
            lambda: sdk.chat.completions.delete(kept.id),
            lambda: sdk.chat.completions.update(kept.id, metadata={}),
        ):
            with pytest.raises(openai.ConflictError, match="case 7") as caught:
                work()
            assert caught.value.code == "on_hold"
        at_store(own_database, tmp_path, lambda store: store.holds.release(hold.id, "terminal"))
        assert sdk.chat.completions.delete(kept.id).deleted
        sdk.close()

    async def entries(store):
        return [entry.event async for entry in store.audit.entries(action="completion.")]

    found = at_store(own_database, tmp_path, entries)
    assert [(each.actor, each.action, each.outcome) for each in found] == [
        (f"key:{key.id}", "completion.deleted", "refused"),
        (f"key:{key.id}", "completion.changed", "refused"),
        (f"key:{key.id}", "completion.deleted", "done"),
    ]
