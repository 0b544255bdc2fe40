"""Durable: DBOS as workers use it, alone in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.storage.databases import SLOWLY_ON_BOTH

PROGRAM = """
import sys, time
from pathlib import Path
from stillhouse.jobs.durable import Durable

seen, failed = [], []
durable = Durable(Path(sys.argv[1]), sys.argv[2] or None, "worker-1")

def work(name, argument):
    for number in range(2):
        durable.step(f"step.{number}", lambda: seen.append((name, argument, number)) or True)

durable.launch(work, {"flow": 2}, 0.1)
durable.put("order-1", "flow", "a")
durable.put("order-1", "flow", "again")
durable.put("order-2", "flow", "b")
end = time.monotonic() + 60
while len(seen) < 4 and time.monotonic() < end:
    time.sleep(0.05)
while durable.busy() and time.monotonic() < end:
    time.sleep(0.05)
durable.put("order-1", "flow", "a")
durable.take_over(["worker-0"])
time.sleep(1)
durable.close()
print(sorted(seen))
"""


@SLOWLY_ON_BOTH
def test_a_workflow_runs_once_under_its_order_and_where_a_file_will_do_opens_no_socket(tmp_path, own_database):
    watched = "import socket\ndef refuse(*a):\n    raise SystemExit('spoke')\nsocket.socket.connect = refuse\n"
    program = PROGRAM if own_database else watched + PROGRAM
    command = [sys.executable, "-c", program, str(tmp_path), own_database or ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    expected = [("flow", "a", 0), ("flow", "a", 1), ("flow", "b", 0), ("flow", "b", 1)]
    assert (done.returncode, done.stdout.strip()) == (0, str(expected)), done.stderr
    assert (tmp_path / "dbos.sqlite").is_file() == (own_database is None)
