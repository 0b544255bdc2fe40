"""`stillhouse worker`: says who it is once it works, and ends cleanly when told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.storage.databases import SLOWLY_ON_BOTH, database_option


@SLOWLY_ON_BOTH
def test_it_works_until_it_is_told_to_end(tmp_path, own_database):
    command = [sys.executable, "-m", "stillhouse", "worker", "--home", str(tmp_path), "--json"]
    with subprocess.Popen([*command, *database_option(own_database)], stdout=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["worker"].startswith("worker-")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert (tmp_path / "dbos.sqlite").is_file() == (own_database is None)


def test_a_database_that_cannot_be_had_is_one_message(tmp_path):
    command = [sys.executable, "-m", "stillhouse", "worker", "--home", str(tmp_path), "--database", "mysql://x/y"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "mysql" in done.stderr
    assert "Traceback" not in done.stderr
