"""Chaos: a real server and its worker are killed at random moments under load: is anything lost, torn or different?

    python benchmarks/chaos.py [--kills 100] [--seed 0] [--gap 3] [--quick] [--database URL] [--json]

Clients go on through the unmodified `openai` package: chat with `store: true`, plain and streamed, changes of metadata,
files, eval runs and fine-tuning jobs. The gateway, its worker or both get SIGKILL; what died is started again (the
worker by the gateway). Once everything has settled, all that was acknowledged must be there as it was sent, nothing
half may be, and each run and job must have exactly the results of an undisturbed run beside it, down to the bytes of
the weights. At last the server is told to end, which takes at most 12 seconds and leaves no process. What differs is
printed, and makes the exit code 1. The database must be empty; without --database it is SQLite in a temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import chaos_checks as checks
from chaos_load import BASE, MODEL, Clients, Scale, save_base
from load import free_port, tell, upstream

from stillhouse.extras import version

FULL, QUICK = Scale(rows=48, epochs=40), Scale(rows=12, epochs=3, methods=("sft",))
VICTIMS = ("gateway", "worker", "both")
"""Each comes once in three kills."""
PATIENCE = 60.0
"""Seconds for which one kill in ten waits until a job learns, which it is otherwise often too short a time for."""
SECONDS_TO_END = 12.0
"""That a server has which is told to end: ten for calls in hand, and two to leave."""
SETTLING = 900.0
GOOD = ("completed", "succeeded")


class Server:
    """`stillhouse serve` as a process, at one address however often it is started."""

    def __init__(self, home: Path, database: str | None = None) -> None:
        self.home, self._database, self._port = home, database, free_port()
        self.base_url = f"http://127.0.0.1:{self._port}/v1"
        self.process: subprocess.Popen[str] | None = None
        self.starts = 0
        self._all: set[int] = set()
        """Every process that was seen to be of this server."""

    def start(self) -> None:
        """Begin to start, once more or for the first time."""
        self.bury()
        words = [sys.executable, "-m", "stillhouse", "serve", "--home", str(self.home), "--port", str(self._port)]
        words += ["--json", *(["--database", self._database] if self._database else [])]
        with (self.home / "log").open("a") as log:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        self.starts += 1

    def bury(self) -> None:
        """Wait for a gateway that was killed, though not for its worker, which may still hold its standard output."""
        if self.process:
            assert self.process.stdout
            self.process.stdout.close()
            self.process.wait()

    def wait(self, seconds: float = 600) -> None:
        """Back when it answers; raises SystemExit when it does not."""
        assert self.process
        assert self.process.stdout
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            raise SystemExit(f"The server did not start:\n{(self.home / 'log').read_text()[-3000:]}")

    def workers(self) -> list[int]:
        """The worker of the gateway that runs now, if it has one."""
        return [pid for pid in self.processes() if _parent(pid) == self.pid and "stillhouse.jobs.worker" in _words(pid)]

    @property
    def pid(self) -> int:
        """The gateway's."""
        assert self.process
        return self.process.pid

    def processes(self) -> list[int]:
        """The gateway, and whatever it or a gateway before it has started and is alive."""
        parents = {int(path.name): _parent(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
        self._all.add(self.pid)
        while more := {pid for pid, parent in parents.items() if parent in self._all} - self._all:
            self._all |= more
        self._all &= {pid for pid in parents if "stillhouse" in _words(pid)}
        return sorted(self._all)

    def told(self) -> int:
        """How much the training processes have told of their steps."""
        return sum(path.stat().st_size for path in self.home.glob("jobs/*/told.jsonl"))

    def kill(self, victim: str) -> bool:
        """SIGKILL, and start again what does not start itself; whether there was such a process."""
        assert self.process
        targets = self.workers() if victim != "gateway" else []
        if victim != "worker":
            targets.append(self.pid)
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.pid in targets:
            self.process.communicate()
            self.start()
        return bool(targets)

    def end(self) -> tuple[float, list[str]]:
        """SIGTERM: the seconds until it had ended, and which processes it left."""
        assert self.process
        there = self.processes()
        started = time.monotonic()
        self.process.terminate()
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        took = time.monotonic() - started
        time.sleep(0.5)  # a training process ends with its worker's pipe
        left = [f"{pid}: {_words(pid)}" for pid in there if "stillhouse" in _words(pid)]
        for pid in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return took, left


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


@contextlib.contextmanager
def server(home: Path, behind: str, database: str | None = None) -> Generator[Server]:
    """A server with a stand-in behind it and the tiny model beside its home to be tuned, running."""
    shutil.copytree(home.parent / BASE, home / "models" / BASE)
    (home / "stillhouse.toml").write_text(
        f'[teachers.stand-in]\nbase_url = "{behind}"\nmodels = {{ {MODEL} = "{MODEL}" }}\n'
    )
    running = Server(home, database)
    running.start()
    try:
        running.wait()
        yield running
    finally:
        for pid in running.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running.bury()


def undisturbed(home: Path, behind: str, scale: Scale, seed: int) -> dict[str, Any]:
    """The results of every kind of run and job where nothing is killed."""
    with server(home, behind) as calm:
        clients = Clients(calm.base_url, scale, seed)
        clients.once()
        return checks.results(clients, calm.home)


def disturb(running: Server, given: argparse.Namespace) -> tuple[Counter[str], int]:
    """Kill at random moments; how often whom, and how many times a job had learnt since the kill before."""
    chance, killed, learning = random.Random(given.seed), Counter[str](), 0
    victims: list[str] = []
    told = 0
    while killed.total() < given.kills:
        victims = victims or chance.sample(VICTIMS, len(VICTIMS))
        victim = victims.pop()
        pause = min(chance.expovariate(1 / given.gap), 5 * given.gap)
        if chance.random() < 0.1 and not given.quick:
            _wait(lambda told=told: running.told() > told, PATIENCE)
            pause = chance.uniform(0, 4 * given.gap)
        time.sleep(pause)
        if victim != "gateway":
            _wait(lambda: bool(running.workers()), 15)
        if not running.kill(victim):
            continue
        killed[victim] += 1
        told, before = running.told(), told
        learning += told > before
        if killed.total() % 10 == 0:
            tell(f"{killed.total()} kills")
        if victim != "worker" and chance.random() < 0.9:  # else the next one may come while it starts
            running.wait()
    return killed, learning


def _wait(there: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not there() and time.monotonic() < until:
        time.sleep(0.2)


def disturbed(home: Path, behind: str, scale: Scale, given: argparse.Namespace) -> dict[str, Any]:
    """Everything under kills: what is wrong, the results, and the figures."""
    with server(home, behind, given.database) as running:
        clients = Clients(running.base_url, scale, given.seed)
        if list(clients.client.chat.completions.list(limit=1)):
            raise SystemExit("The database is not empty. Give --database an empty one.")
        clients.seed_completions()
        clients.start()
        started = time.monotonic()
        try:
            killed, learning = disturb(running, given)
            seconds = time.monotonic() - started
            _wait(lambda: clients.attempt(clients.client.models.list)[0], 600)
        finally:
            clients.stop()
        tell("everything is settling")
        clients.settle(SETTLING)
        settled = time.monotonic() - started - seconds
        found = checks.results(clients, running.home)
        faults, counts = checks.kept(clients.client, clients.ledger)
        faults += clients.ledger.faults + checks.files(clients.client, clients.ledger)
        faults += checks.orders(clients.client, clients.ledger)
        took, left = running.end()
        if took > SECONDS_TO_END:
            faults.append(f"The server took {took:.1f} seconds to end.")
        faults += [f"still there after the server: {process}" for process in left]
        faults += asyncio.run(checks.on_disk(given.database, running.home))
        if faults:
            tell((running.home / "log").read_text()[-4000:])
    ledger = clients.ledger
    return {
        "faults": faults,
        "results": found,
        "kills": dict(killed),
        "kills_while_a_job_learnt": learning,
        "seconds": round(seconds, 1),
        "seconds_to_settle": round(settled, 1),
        "seconds_to_end": round(took, 1),
        "acknowledged": sum(call.id is not None for call in ledger.calls.values()),
        "unanswered": dict(ledger.errors),
        **counts,
        "files": sum(upload.id is not None for upload in ledger.files.values()),
        "runs": {kind: len(each) for kind, each in found.items()},
    }


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    """The run under kills with the undisturbed one beside it, and what differs."""
    scale = QUICK if given.quick else FULL
    calm: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, upstream("--latency", "0.05") as behind:
        place = Path(folder)
        save_base(place / BASE)
        beside = threading.Thread(target=lambda: calm.update(undisturbed(place / "calm", behind, scale, given.seed)))
        beside.start()
        found = disturbed(place / "storm", behind, scale, given)
        beside.join()
    if not calm:
        raise SystemExit("The undisturbed run failed; what it said stands above.")
    faults = found.pop("faults") + checks.compare(calm, found.pop("results"))
    bad = [kind for kind, [(_, result)] in calm.items() if result["status"] not in GOOD]
    faults += [f"{kind} fails undisturbed: {calm[kind][0][1].get('error')}" for kind in bad]
    words = ["--kills", str(given.kills), "--seed", str(given.seed), "--gap", f"{given.gap:g}"]
    words += [flag for flag, is_set in (("--quick", given.quick), ("--json", given.json)) if is_set]
    return {
        "benchmark": "chaos",
        "command": shlex.join(["python", "benchmarks/chaos.py", *words]),
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "processor": platform.machine()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("openai", "dbos", "sqlalchemy", "torch")},
        },
        "database": "sqlite" if given.database is None else given.database.partition(":")[0],
        **found,
        "faults": faults,
    }


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    kills = ", ".join(f"{count} {victim}" for victim, count in result["kills"].items())
    lines = [
        f"{sum(result['kills'].values())} kills ({kills}) in {result['seconds']:g} s on {result['database']}, "
        f"{result['kills_while_a_job_learnt']} while a job learnt",
        f"{result['acknowledged']:,} chat completions acknowledged, {result['stored']:,} stored, of which "
        f"{result['stored_unacknowledged']} without an answer; {result['files']:,} files",
        f"runs and jobs, at their end after {result['seconds_to_settle']:g} s more: {result['runs']}",
        f"calls without an answer: {result['unanswered'] or 'none'}",
        f"SIGTERM: ended in {result['seconds_to_end']:g} s",
    ]
    faults = result["faults"]
    return "\n".join([*lines, f"{len(faults)} differences" if faults else "nothing lost, torn or different", *faults])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, help="100, or 3 with --quick")
    parser.add_argument("--seed", type=int, default=0, help="of the moments, and of what clients do")
    parser.add_argument("--gap", type=float, default=3, help="mean seconds between two kills")
    parser.add_argument("--database", help="an empty one")
    parser.add_argument("--quick", action="store_true", help="smaller runs and jobs")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    given.kills = given.kills or (3 if given.quick else 100)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that no server is left
    result = benchmark(given)
    print(json.dumps(result, indent=2) if given.json else table(result))
    if result["faults"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
