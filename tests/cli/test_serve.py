"""`stillhouse serve` as a process: it says where it listens, answers, and ends cleanly or with one clear message."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from benchmarks.upstream import Upstream
from stillhouse.bundle.erased import Mark, add_mark
from stillhouse.cli.main import run
from stillhouse.cli.serve import Address, listen
from stillhouse.errors import StillhouseError, UsageError
from tests.gateway.bundles import make_bundle
from tests.gateway.serving import prompt, served, status_of
from tests.jobs.writers import chat, save_base
from tests.storage.databases import SLOWLY_ON_BOTH, database_option

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("served") / "bundle")


@contextmanager
def serving(*arguments: object) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "stillhouse", "serve", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_where_it_listens_answers_and_ends_well(bundle, number):
    with serving("--model", bundle, "--port", 0, "--json") as process:
        told = json.loads(process.stdout.readline())
        assert told["models"] == ["desk/triage"]
        body = json.dumps({"model": "desk/triage", "messages": prompt("refund now")}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{told['base_url']}/chat/completions", body)) as response:
            answer = json.loads(response.read())
        assert answer["choices"][0]["message"]["content"] == '{"intent": "refund", "priority": "high"}'
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output, errors) == (0, "", "")


def asked(told: dict, path: str, **fields: object) -> dict:
    """The JSON that the server answers, to a call if there are fields."""
    body = json.dumps({"model": "desk/triage", "messages": prompt("refund"), **fields}).encode() if fields else None
    with urllib.request.urlopen(urllib.request.Request(f"{told['base_url']}/chat/completions{path}", body)) as response:
        return json.loads(response.read())


@SLOWLY_ON_BOTH
def test_what_was_acknowledged_is_there_after_a_kill_under_load(bundle, own_database, tmp_path):
    options = ("--model", bundle, "--port", 0, "--json", "--home", tmp_path, *database_option(own_database))
    acknowledged: list[str] = []

    def call_on(told: dict) -> None:
        while True:
            try:
                acknowledged.append(asked(told, "", store=True, metadata={"tag": "a"})["id"])
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                return

    with serving(*options) as process:
        told = json.loads(process.stdout.readline())
        with ThreadPoolExecutor(8) as callers:
            calls = [callers.submit(call_on, told) for _ in range(8)]
            while len(acknowledged) < 100:
                time.sleep(0.01)
            process.kill()
            for call in calls:
                call.result(30)
    with serving(*options) as process:
        told = json.loads(process.stdout.readline())
        found, page = [], asked(told, "?metadata[tag]=a&limit=100")
        while page["data"]:
            found += page["data"]
            page = asked(told, f"?metadata[tag]=a&limit=100&after={page['last_id']}")
    assert set(acknowledged) <= {row["id"] for row in found}
    assert {row["choices"][0]["message"]["content"] for row in found} == {'{"intent": "refund", "priority": "low"}'}


def family(ancestor: int) -> dict[int, str]:
    """The commands of a process and of all that it, or they, have started."""
    told = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    found = {ancestor}
    while more := {int(pid) for pid, parent, _ in rows if int(parent) in found} - found:
        found |= more
    return {int(pid): words for pid, _, words in rows if int(pid) in found}


@contextmanager
def everything(home: Path, database: str | None) -> Generator[tuple[subprocess.Popen[str], OpenAI]]:
    """A server with a worker, a language model in it and a teacher behind it that streams for a minute and more."""
    save_base(home / "tiny")
    with served(Upstream(gap=1.0)) as behind:
        teacher = f'[teachers.slow]\nbase_url = "{behind}/v1"\nmodels = {{ slow = "slow" }}\n'
        (home / "stillhouse.toml").write_text(f'{teacher}[models]\ntiny = "tiny"\n')
        with serving("--home", home, "--port", 0, "--json", *database_option(database)) as process:
            told = json.loads(process.stdout.readline())
            with OpenAI(base_url=told["base_url"], api_key="unused", max_retries=0) as client:
                yield process, client


def ended(process: subprocess.Popen[str]) -> tuple[float, dict[int, str]]:
    """The seconds that a server takes to end, and what is left of its family a moment later."""
    there = family(process.pid)
    started = time.monotonic()
    process.terminate()
    process.wait(60)
    took = time.monotonic() - started
    time.sleep(1)
    now = [family(pid).get(pid, "") for pid in there]
    return took, {pid: words for pid, words in zip(there, now, strict=True) if "stillhouse" in words}


@pytest.mark.slow
@SLOWLY_ON_BOTH
def test_it_ends_in_time_and_leaves_no_process_whatever_is_under_way(tmp_path, own_database):
    question: Any = [{"role": "user", "content": "hello"}]
    with everything(tmp_path, own_database) as (process, client):
        rows = b"\n".join(json.dumps(chat(f"double {n}", str(2 * n))).encode() for n in range(50))
        file = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune").id
        method: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 50}}}
        client.fine_tuning.jobs.create(model="tiny", training_file=file, method=method)
        until = time.monotonic() + 120
        while time.monotonic() < until and not any("jobs.teach" in words for words in family(process.pid).values()):
            time.sleep(0.2)
        stream = client.chat.completions.create(model="slow", messages=question, max_tokens=100, stream=True)
        next(iter(stream))
        client.chat.completions.create(model="tiny", messages=question)
        assert {"jobs.worker", "jobs.teach"} <= {w.split()[2][11:] for w in family(process.pid).values() if " -m " in w}
        took, left = ended(process)
    assert took < 12.5
    assert left == {}


@SLOWLY_ON_BOTH
def test_idle_it_ends_at_once(tmp_path, own_database):
    with everything(tmp_path, own_database) as (process, client):
        client.files.create(file=("a.bin", b"a"), purpose="user_data")  # so there is a worker, which is just starting
        took, left = ended(process)
    assert took < 10
    assert left == {}
    assert process.returncode == 0


@SLOWLY_ON_BOTH
def test_where_others_can_call_the_first_start_gives_a_key_and_no_other(bundle, own_database, tmp_path):
    place = ("--home", tmp_path, *database_option(own_database))
    options = ("--model", bundle, "--port", 0, "--json", *place, "--host", "0.0.0.0")
    with serving(*options) as process:
        told = json.loads(process.stdout.readline())
        models = urllib.request.Request(f"{told['base_url']}/models")
        assert status_of(models) == 401
        models.add_header("Authorization", f"Bearer {told['first_key']}")
        assert status_of(models) == 200
    with serving(*options) as process:
        assert json.loads(process.stdout.readline())["first_key"] is None
        process.send_signal(signal.SIGINT)
        assert told["first_key"] not in "".join(process.communicate(timeout=20))


def test_people_are_told_how_to_call_it(bundle):
    with serving("--model", bundle, "--port", 0) as process:
        lines = []
        while "create(" not in "".join(lines):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
    text = "".join(lines)
    assert "http://127.0.0.1:" in text
    assert "desk/triage: words, learnt from large-model, sure from 0.8" in text
    assert "no teacher" in text
    assert "from openai import OpenAI" in text


def test_who_serves_a_student_that_learnt_from_an_erased_person_is_told(bundle, tmp_path):
    marked = tmp_path / "marked"
    shutil.copytree(bundle, marked)
    add_mark(marked, Mark("erasure-1", "2026-11-22T05:00:00Z", "support@1", 3, "support@2"))
    with serving("--model", marked, "--port", 0) as process:
        assert "Serving" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    assert all(part in said for part in ("support@1", "3 rows", "erasure-1"))


@pytest.fixture
def refused(bundle, capsys):
    """Runs the verb with wrong options; gives its exit code and the one message."""

    def attempt(*arguments: str) -> tuple[int, str]:
        code = run(["serve", "--port", "0", *arguments])
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        return code, " ".join(captured.err.split())

    return attempt


def test_what_is_wrong_is_said_at_once(bundle, refused, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    same = ("--model", str(bundle))
    teacher = ("--teacher", "http://127.0.0.1:9")
    wrong = [
        ((*teacher, "--teacher-model", "x"), 2, "--model"),
        (("--model", str(tmp_path)), 1, "stillhouse.json"),
        ((*same, *same), 2, "desk/triage"),
        ((*same, *teacher), 2, "--teacher-model"),
        ((*same, "--teacher-model", "x"), 2, "--teacher"),
        ((*same, "--teacher", "nowhere", "--teacher-model", "x"), 2, "nowhere"),
        ((*same, *teacher, "--teacher-model", "x", "--teacher-key-env", "NO_SUCH_KEY"), 2, "NO_SUCH_KEY"),
        ((*same, "--port", "70000"), 2, "port"),
        ((*same, "--host", "192.0.2.1"), 1, "192.0.2.1"),
        ((*same, "--database", "mysql://host/calls"), 2, "mysql"),
        ((*same, "--database", f"sqlite:///{bundle / 'stillhouse.json' / 'calls.db'}"), 1, "stillhouse.json"),
        ((*same, "--durability", "never"), 2, "durability"),
        ((*same, "--no-auth", "--host", "0.0.0.0"), 2, "--no-auth"),
    ]
    for arguments, code, words in wrong:
        seen, message = refused(*arguments)
        assert (seen, words in message) == (code, True), (arguments, message)
    assert not (tmp_path / "home").exists(), "no key is made that nobody is shown"


def test_an_altered_bundle_is_not_served(tmp_path, refused):
    broken = make_bundle(tmp_path / "bundle")
    with (broken / "student" / "model.onnx").open("ab") as file:
        file.write(b"x")
    assert refused("--model", str(broken))[0] == 1


def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as door, pytest.raises(StillhouseError, match=r"--port"):
        listen("127.0.0.1", door.getsockname()[1])


def test_a_host_that_is_none_is_named(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UsageError, match="--host nowhere"):
        listen("nowhere", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8"), ("0.0.0.0", "http://127.0.0.1:8"), ("::1", "http://[::1]:8")],
)
def test_the_address_is_one_that_can_be_called(host, url):
    assert str(Address(host, 8)) == url


def test_a_file_names_who_is_served_and_what_is_kept(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", "sk-of-the-upstream")
    upstream = Upstream(remembers=True)
    with served(upstream) as behind:
        (tmp_path / "stillhouse.toml").write_text(
            f'students = ["{bundle}"]\nteacher = "large"\n[capture]\ncalls = "all"\ncontent = false\n'
            f'[teachers.desk]\nbase_url = "{behind}"\nkey_env = "UPSTREAM_KEY"\nmodels = {{ large = "gpt-large" }}\n'
        )
        with serving("--home", tmp_path, "--port", 0, "--json", "--content", "--no-worker") as process:
            told = json.loads(process.stdout.readline())
            assert (told["models"], told["teacher"]) == (["large", "desk/triage"], "large")
            assert told["teachers"] == {"desk": behind}
            answer = asked(told, "", model="large")
            asked(told, "", messages=prompt("maybe"))
            [doubtful, plain] = asked(told, "?limit=5")["data"]
            assert plain["choices"][0]["message"]["content"] == answer["choices"][0]["message"]["content"]
            assert doubtful["x_stillhouse"]["route"].startswith("teacher; reason=low-confidence")
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=20) == ("", "")
    assert [call["model"] for call in upstream.asked] == ["gpt-large"] * 2
    assert {headers["authorization"] for headers in upstream.headers} == {"Bearer sk-of-the-upstream"}


def test_where_nobody_is_named_what_is_stored_is_served_and_it_says_how_to_name_somebody(tmp_path):
    home = tmp_path / "home"
    with serving("--home", home, "--port", 0, "--no-worker") as process:
        lines = []
        while "create(" not in "".join(lines):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        url = "".join(lines).split("Serving on ")[1].split()[0]
        client = OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        file = client.files.create(file=("rows.jsonl", json.dumps(chat("a", "b")).encode()), purpose="fine-tune")
        save_base(home / "models" / "small")  # it is served from now on
        assert client.files.retrieve(file.id).filename == "rows.jsonl"
        assert [model.id for model in client.models.list()] == ["small"]
    assert "stillhouse teacher add" in "".join(lines)


def test_folders_under_models_are_served_by_their_names(tmp_path):
    save_base(tmp_path / "models" / "small")
    with serving("--home", tmp_path, "--port", 0, "--no-worker", "--json") as process:
        told = json.loads(process.stdout.readline())
        assert told["models"] == ["small"]


def test_a_file_that_is_wrong_is_said_at_once(refused, tmp_path):
    (tmp_path / "stillhouse.toml").write_text('[teachers.a]\nbase_url = "http://h"\nkey_env = "NO_SUCH_KEY"\n')
    code, message = refused("--home", str(tmp_path))
    assert (code, "NO_SUCH_KEY" in message) == (2, True)
    (tmp_path / "stillhouse.toml").write_text('[model]\ntiny = "x"\n')
    code, message = refused("--home", str(tmp_path))
    assert (code, "Did you mean 'models'" in message) == (2, True)
