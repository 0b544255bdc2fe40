"""The unmodified `openai` clients, new and old, call a language model on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import Answerer, House
from stillhouse.inference.local_chat import LocalChat
from stillhouse.wire.models import ModelCard
from tests.gateway.serving import served
from tests.inference import speakers
from tests.wire.test_sdks import OLD, python_with

QUESTIONS = {"words": "Where is my parcel?", "call": "Is it raining in Ulm?", "json": "json"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = speakers.folder(tmp_path_factory.mktemp("taught") / "model", taught=True)
    chat, house = LocalChat.open(str(folder), name="here/tiny", threads=1), House()
    house.add(Answerer(chat, ModelCard("here/tiny", created=1), is_far=True))
    house.on_close(chat.close)
    with served(create_app(house)) as url:
        yield f"{url}/v1"


@pytest.mark.parametrize("client", ["newest", *OLD])
def test_a_client(client, url):
    python = sys.executable if client == "newest" else python_with(client)
    script = Path(__file__).with_name("local_calls.py")
    words = [url, "here/tiny", json.dumps(QUESTIONS), json.dumps(speakers.WEATHER)]
    run = subprocess.run([python, "-I", script, *words], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert client in ("newest", seen["version"])
    assert seen["plain"] == seen["streamed"] == seen["bytes"] == speakers.HELLO
    assert seen["copies"] == [speakers.HELLO] * 2
    assert seen["asynchronous"] == [speakers.HELLO] * 3
    assert seen["calls"] == seen["streamed_calls"] == [{"town": "Ulm"}, {"town": "Bonn"}]
    assert seen["reason"] == "tool_calls"
    assert len(set(seen["usage"])) == 1
    assert seen["json"] == {"town": "Ulm", "rain": True}
    assert seen["refused"] == ["array_above_max_length", "stop"]
