"""Servers and workers that are killed at random moments under load lose nothing, and end with an undisturbed result."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow
CHAOS = Path(__file__).resolve().parents[2] / "benchmarks" / "chaos.py"


def chaos(*words: str, seconds: int) -> dict:
    """What `benchmarks/chaos.py` found; a difference is said in the failure."""
    command = [sys.executable, CHAOS, *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert (found["faults"], done.returncode) == ([], 0), done.stderr[-3000:]
    return found


@pytest.fixture
def parts(monkeypatch) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The benchmark, its clients and its checks, imported as its own folder imports them."""
    monkeypatch.syspath_prepend(CHAOS.parent)
    import chaos
    import chaos_checks
    import chaos_load

    return chaos, chaos_load, chaos_checks


def test_what_is_lost_torn_or_changed_is_found(parts, tmp_path):
    chaos, load, checks = parts
    (tmp_path / load.BASE).mkdir()
    with chaos.upstream() as behind, chaos.server(tmp_path / "home", behind) as running:
        clients = load.Clients(running.base_url, chaos.QUICK, seed=0)
        clients.seed_completions()
        client, ledger = clients.client, clients.ledger
        content = b"a line\n" * 1000
        sent = client.files.create(file=("a.bin", content), purpose="user_data").id
        ledger.files["a.bin"] = load.Upload("a.bin", hashlib.sha256(content).hexdigest(), sent)
        assert not ledger.errors, ledger.faults
        assert checks.kept(client, ledger)[0] == checks.files(client, ledger) == []
        with sqlite3.connect(running.home / "stillhouse.db") as database:
            lost, torn, changed, _ = [call.id for call in ledger.calls.values()][:4]
            database.execute("DELETE FROM completions WHERE id = ?", [lost])
            answer = "SELECT answer FROM completions WHERE id = ?"
            [short] = database.execute(answer, [torn]).fetchone()
            database.execute("UPDATE completions SET answer = ? WHERE id = ?", [short.replace(b"word3 ", b""), torn])
            database.execute("UPDATE completions SET metadata = ? WHERE id = ?", [b'{"tag":"seed 2"}', changed])
        [blob] = [path for path in running.home.glob("blobs/**/*") if len(path.name) == 64]
        blob.write_bytes(bytes(blob.stat().st_size))
        found = "\n".join([*checks.kept(client, ledger)[0], *checks.files(client, ledger)])
        assert f"acknowledged as {lost}" in found
        assert f"stored {torn}: it says" in found
        assert f"stored {changed}: its metadata is" in found
        assert "its content is not what was sent" in found
        assert len(found.splitlines()) == 4


def test_a_result_that_differs_is_found(parts):
    checks = parts[2]
    calm = {"run a": [("1", {"status": "completed", "items": [[0, "pass"], [1, "fail"]]})]}
    assert checks.compare(calm, {"run a": [("2", {"status": "completed", "items": [[0, "pass"], [1, "fail"]]})]}) == []
    for items in ([[0, "pass"]], [[0, "pass"], [1, "pass"]], [[0, "pass"], [0, "pass"], [1, "fail"]]):
        [fault] = checks.compare(calm, {"run a": [("2", {"status": "completed", "items": items})]})
        assert "run a 2: items differs" in fault


def test_a_few_kills_change_nothing():
    found = chaos("--quick", "--kills", "3", seconds=900)
    assert found["kills"] == {"gateway": 1, "worker": 1, "both": 1}
    assert found["acknowledged"] > 24
    assert found["runs"]["job sft"] >= 1


def test_a_hundred_kills_change_nothing(url, tmp_path):
    tmp_path.joinpath("home").mkdir()
    found = chaos("--kills", "100", "--database", url, seconds=3600)
    assert sum(found["kills"].values()) == 100
    assert found["acknowledged"] > 1000
    assert {"run content", "run recorded", "run resampled", "job sft", "job dpo"} <= found["runs"].keys()
