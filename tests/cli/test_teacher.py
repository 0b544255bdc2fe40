"""`stillhouse teacher`: written into the file that a person wrote, and read back from it; never a key."""

from __future__ import annotations

import json

import pytest

from stillhouse.cli.main import run
from stillhouse.recipes.server import read_server_file

WRITTEN = """# What we serve. Ask Ann before you change it.
teacher = "large"   # answers what students leave

[capture]
calls = "all"  # for now

# ours
[teachers.desk]
base_url = "http://localhost:8001/v1"
models = { large = "Qwen/Qwen3-8B" }  # the big one
"""


@pytest.fixture
def told(tmp_path, capsys):
    """Runs the verb on a home folder; gives its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["teacher", *arguments, "--home", str(tmp_path)])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return call


def test_a_teacher_is_added_listed_and_removed(told, tmp_path, monkeypatch):
    monkeypatch.setenv("DESK_KEY", "sk-the-secret-of-the-desk")
    options = (
        "--base-url",
        "https://api.example.org/v1",
        "--key-env",
        "DESK_KEY",
        "--price-in",
        "2.5",
        "--price-out",
        "10",
    )
    models = ("--model", "gpt=gpt-4o-2024-08-06", "--model", "Qwen/Qwen3-8B", "--harvest-logprobs")
    code, text = told("add", "openai", *options, *models, "--json")
    shown = json.loads(text)["teachers"]["openai"]
    assert (code, shown["key_is_set"], shown["harvest_logprobs"]) == (0, True, True)
    section = read_server_file(tmp_path).teachers["openai"]
    assert section.models == {"gpt": "gpt-4o-2024-08-06", "Qwen/Qwen3-8B": "Qwen/Qwen3-8B"}
    assert (section.price_in, section.price_out, section.alternatives) == (2.5, 10, 20)
    listed = told("list")[1]
    assert "gpt=gpt-4o-2024-08-06, Qwen/Qwen3-8B" in listed
    assert "sk-the-secret" not in text + listed + (tmp_path / "stillhouse.toml").read_text()
    assert told("remove", "openai")[0] == 0
    assert "no teachers" in told("list")[1]


def test_what_a_person_wrote_stays(told, tmp_path):
    (tmp_path / "stillhouse.toml").write_text(WRITTEN)
    assert told("add", "openai", "--base-url", "https://api.openai.com/v1", "--key-env", "OPENAI_API_KEY")[0] == 0
    text = (tmp_path / "stillhouse.toml").read_text()
    assert text.startswith(WRITTEN)
    file = read_server_file(tmp_path)
    assert list(file.teachers) == ["desk", "openai"]
    assert (file.teacher, file.capture.calls) == ("large", "all")
    assert told("remove", "openai")[0] == 0
    assert (tmp_path / "stillhouse.toml").read_text().rstrip() == WRITTEN.rstrip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add",), "needs a name"),
        (("add", "a"), "--base-url"),
        (("add", "a", "--base-url", "api.openai.com"), "base_url"),
        (("add", "a/b", "--base-url", "http://h/v1"), "'a/b'"),
        (("add", "a", "--base-url", "http://h/v1", "--model", "x=1", "--model", "x=2"), "twice"),
        (("add", "a", "--base-url", "http://h/v1", "--key-env", "sk-abcdefghijklmnop"), "environment variable"),
        (("remove", "nobody"), "'nobody'"),
        (("list", "a"), "takes no name"),
        (("lose", "a"), "lose"),
    ],
)
def test_wrong_use_is_said_and_nothing_written(told, tmp_path, arguments, words):
    code, message = told(*arguments)
    assert (code, words in " ".join(message.split())) == (2, True), message
    assert not (tmp_path / "stillhouse.toml").exists()
    assert "abcdefghijklmnop" not in message


def test_a_name_is_given_once(told):
    assert told("add", "a", "--base-url", "http://h/v1")[0] == 0
    code, message = told("add", "a", "--base-url", "http://other/v1")
    assert (code, "already" in message) == (2, True)
