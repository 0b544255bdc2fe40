"""Sandbox: runs the source of Python graders in processes that are cut off from network, files and others."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, final

import orjson

from stillhouse.evaluation.graders.seccomp import filter_program

__all__ = ["WALLS", "Limits", "Outcome", "Sandbox", "Wall"]

Wall = Literal["files", "network", "processes"]
WALLS: frozenset[Wall] = frozenset(("files", "network", "processes"))

PROGRAM = Path(__file__).with_name("inside.py")
LIBRARIES = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"),
    *("/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/urandom", "/dev/zero"),
)
"""What Python and its packages read beside their own folders."""
LARGEST_RESULT = 64 * 1024
LOOK_EVERY = 0.1
"""Seconds between two looks at how much the folder holds."""
MOST_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may take; OpenAI gives 2 minutes, 2 GB of memory and 1 GB of disk."""

    seconds: int = 120
    """By the clock and of the CPU, whichever ends first."""
    memory: int = 2 * 1024**3
    """Bytes of address space."""
    disk: int = 64 * 1024**2
    """Bytes of its folder, in at most 2,000 files; looked at ten times a second, so a run may overshoot."""
    open_files: int = 64
    at_once: int = 2
    """Runs beside each other; others wait."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: a score, or what went wrong and whether that was the source's fault."""

    score: float | None
    trouble: str | None = None
    by_source: bool = True
    walls: frozenset[str] = frozenset()
    """The walls that held, as tried from inside."""


@final
class Sandbox:
    """Runs a grader's source, each time in a new process, and kills it with its children when its time is up.

    The process has an empty folder of its own, no environment, and hard limits on CPU time, memory, the size of a
    file and open files. Walls, by what the kernel has: `files` (Landlock: the folder and Python's libraries may be
    read, the folder alone written), `network` and `processes` (seccomp: no sockets; no new processes, no signals to
    others). They hold on Linux of 2021 (5.13) or later on x86_64 and aarch64, for root and in containers too, unless
    the container forbids them. Where a required wall does not hold, the source is not run. Whether a file exists, and
    its size, can be seen through the walls; what is in it cannot.

    A source decides its own score: one that runs a model's answer lets that answer decide it.
    """

    def __init__(self, limits: Limits | None = None, required: frozenset[Wall] = WALLS) -> None:
        self._limits = limits or Limits()
        self._required = required
        self._turns = asyncio.Semaphore(self._limits.at_once)

    async def run(self, source: str, sample: Mapping[str, Any], item: Mapping[str, Any]) -> Outcome:
        """What `grade(sample, item)` of the source returns."""
        try:
            orjson.dumps((sample, item))
        except TypeError as error:
            return Outcome(None, f"Sample and item cannot be written as JSON: {error}.", by_source=False)
        async with self._turns:
            folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="stillhouse-grader-")
            try:
                return await self._run_in(folder, self._task(folder, source, sample, item))
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def holds(self) -> frozenset[str]:
        """The walls that hold on this machine."""
        return (await self.run("def grade(sample, item): return 1", {}, {})).walls

    def _task(self, folder: str, source: str, sample: Mapping[str, Any], item: Mapping[str, Any]) -> bytes:
        limits = {
            "RLIMIT_CPU": self._limits.seconds,
            "RLIMIT_AS": self._limits.memory,
            "RLIMIT_FSIZE": self._limits.disk,
            "RLIMIT_NOFILE": self._limits.open_files,
        }
        return orjson.dumps(
            {
                "source": source,
                "sample": sample,
                "item": item,
                "limits": limits,
                "required": sorted(self._required),
                "readable": _readable(),
                "folder": folder,
                "filter": filter_program().hex(),
            }
        )

    async def _run_in(self, folder: str, task: bytes) -> Outcome:
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-B", "-X", "utf8", str(PROGRAM)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd=folder,
                env={"HOME": folder, "TMPDIR": folder, **one_thread},
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(None, f"No process could be started to run the source: {error}.", by_source=False)
        talk = asyncio.create_task(_talk(process, task))
        watch = asyncio.create_task(_watch(folder, self._limits.disk))
        try:
            await asyncio.wait((talk, watch), timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                return Outcome(None, f"The source filled its folder: {self._limits.disk} bytes, {MOST_ENTRIES} files.")
            if not talk.done():
                return Outcome(None, f"The source took longer than {self._limits.seconds} s.")
            return _read(talk.result(), process.returncode, self._limits.seconds)
        finally:
            _kill(process)
            await asyncio.gather(_stop(talk), _stop(watch))
            await asyncio.gather(_drain(process), process.wait())


def _readable() -> list[str]:
    """The folders and files that Python and its packages are read from."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    found = {os.path.realpath(path) for path in (*prefixes, *LIBRARIES) if Path(path).exists()}
    return sorted(found - {"/", str(Path.home())})


async def _talk(process: Process, task: bytes) -> bytes:
    """Hand over the task; whatever comes back until the process has ended, or too much of it."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("The process was started without its streams.")
    with suppress(ConnectionError):
        process.stdin.write(task)
        await process.stdin.drain()
    process.stdin.close()
    received = bytearray()
    while chunk := await process.stdout.read(LARGEST_RESULT):
        received += chunk
        if len(received) > LARGEST_RESULT:
            return bytes(received)
    await process.wait()
    return bytes(received)


async def _drain(process: Process) -> None:
    """Read what a process left behind: while its pipe is full, asyncio does not see that it has ended."""
    while process.stdout is not None and await process.stdout.read(LARGEST_RESULT):
        pass


async def _watch(folder: str, most: int) -> None:
    """Wait until a folder holds too much."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if _holds_more(folder, most):
            return


def _holds_more(folder: str, most: int) -> bool:
    total = entries = 0
    for parent, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        if entries > MOST_ENTRIES:
            return True
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118 - many, and quickly
    return total > most


def _read(line: bytes, code: int | None, seconds: int) -> Outcome:
    """The outcome that a process wrote before it ended with an exit code; None while it goes on writing."""
    if code is None:
        return Outcome(None, f"The source wrote more than {LARGEST_RESULT} bytes where its score belongs.")
    try:
        answer: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        return Outcome(None, _why_ended(code, seconds))
    told = cast(dict[str, Any], answer)
    walls = frozenset(cast(Sequence[str], told.get("walls") or ()))
    if told.get("absent"):
        words = f"This machine cannot cut Python graders off from: {', '.join(told['absent'])}. Nothing was run."
        return Outcome(None, words, by_source=False, walls=walls)
    if isinstance(told.get("score"), float):
        return Outcome(told["score"], walls=walls)
    return Outcome(None, str(told.get("details")), walls=walls)


def _why_ended(code: int, seconds: int) -> str:
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return f"The source was killed: it took more than {seconds} s of CPU time, or more memory than there is."
    ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"The source ended its process {ended} instead of returning a score."


def _kill(process: Process) -> None:
    """End a process, and with it those it may have started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
