"""`stillhouse.toml`: what is not there has a default, what is wrong is named."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.server import Captured, ServerFile, read_server_file
from stillhouse.storage.records import Durability

WHOLE = """
students = ["bundles/triage", "/elsewhere/moderation"]
teacher = "large"

[teachers.openai]
base_url = "https://api.openai.com/v1"
key_env = "OPENAI_API_KEY"
price_in = 2.5
price_out = 10
timeout = 120
retries = 1
connections = 50
harvest_logprobs = 5
[teachers.openai.models]
large = "gpt-4o"

[models]
tiny = "models/tiny"
hub = "Qwen/Qwen3-0.6B"

[capture]
calls = "all"
durability = "sync"
content = false
ttl_days = 30
"""


def read(tmp_path, text: str) -> ServerFile:
    (tmp_path / "stillhouse.toml").write_text(text)
    return read_server_file(tmp_path)


def test_a_whole_file_is_read_with_paths_from_its_folder(tmp_path):
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    file = read(tmp_path, WHOLE)
    assert [str(each) for each in file.students] == [str(tmp_path / "bundles/triage"), "/elsewhere/moderation"]
    assert file.models == {"tiny": str(tmp_path / "models/tiny"), "hub": "Qwen/Qwen3-0.6B"}
    section = file.teachers["openai"]
    assert (section.models, section.alternatives, section.connections) == ({"large": "gpt-4o"}, 5, 50)
    assert (file.capture.calls, file.capture.durability) == (Captured.ALL, Durability.SYNC)
    assert (file.capture.content, file.capture.ttl_days) == (False, 30)
    assert file.serves_something


def test_without_a_file_nothing_is_served(tmp_path):
    assert read_server_file(tmp_path) == ServerFile()
    assert not ServerFile().serves_something


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[teacher]\n[teachers.a]\nbase_url = 'http://h'\n", "teacher = {} must be a text"),
        ("[capture]\ncall = 'all'", r"capture sets 'call', which it does not know. Did you mean 'calls'"),
        ("[capture]\ncalls = 'some'", "none of asked, all"),
        ("[capture]\nttl_days = 0", "ttl_days must be more than 0"),
        ("[teachers.a]\n", "teachers.a lacks 'base_url'"),
        ("[teachers.a]\nbase_url = 'h'", "base_url = 'h' is no address"),
        ("[teachers.a]\nbase_url = 'http://user:word@h'", "base_url holds a user or a password"),
        ("[teachers.a]\nbase_url = 'http://h'\nkey_env = 'sk-abcdefghijklmnop'", "name of an environment variable"),
        ("[teachers.a]\nbase_url = 'http://h'\nharvest_logprobs = 21", "from 0 to 20"),
        ("[teachers.a]\nbase_url = 'http://h'\nconnections = 0", "connections 1 or more"),
        ("[teachers.a]\nbase_url = 'http://h'\nbaseurl = 'x'", "Did you mean 'base_url'"),
        ("[teachers.'a/b']\nbase_url = 'http://h'", "'a/b' may hold letters"),
        ("models = ['x']", "models must be a table"),
        ("[models]\ntiny = 3", "models.tiny = 3 must be a text"),
        ("x = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        read(tmp_path, text)


def test_redaction_says_how_and_what(tmp_path):
    section = read(tmp_path, '[capture]\nredact = "hash"\nredact_types = ["email", "card"]').capture
    assert (section.redact, section.redact_types) == ("hash", ("email", "card"))
    assert read(tmp_path, "").capture.redact is None
    with pytest.raises(UsageError, match=r"redact.*'mask'.*none of redact, pseudonymise, hash, vault"):
        read(tmp_path, '[capture]\nredact = "mask"')
    with pytest.raises(UsageError, match=r"'mail' is none of"):
        read(tmp_path, '[capture]\nredact = "hash"\nredact_types = ["mail"]')
    with pytest.raises(UsageError, match="what becomes of them"):
        read(tmp_path, '[capture]\nredact_types = ["email"]')
