"""Hostile sources: whatever they try, nothing gets out, nothing is left behind, and no score is made up.

The walls are those of the kernel; where it lacks one, the tests of that wall are skipped with the reason.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from pathlib import Path

import pytest

from stillhouse.evaluation.graders.sandbox import WALLS, Limits, Outcome, Sandbox

QUICK = Limits(seconds=20, memory=1024**3, disk=4 * 1024**2)


@pytest.fixture(autouse=True, scope="module")
def _walls():
    absent = WALLS - asyncio.run(Sandbox(QUICK).holds())
    if absent:
        pytest.skip(f"needs a kernel that can cut off {', '.join(sorted(absent))}")


async def run(body: str, limits: Limits = QUICK, sample: dict | None = None, item: dict | None = None) -> Outcome:
    """The outcome of a `grade` with some lines in it."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source = f"import contextlib, os, sys, time\ndef grade(sample, item):\n{lines}"
    return await Sandbox(limits).run(source, sample or {}, item or {})


def left() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("stillhouse-grader-*")}


async def test_a_score_comes_back():
    outcome = await run("return len(sample['output_text']) / item['n']", sample={"output_text": "ab"}, item={"n": 8})
    assert outcome == Outcome(0.25, walls=WALLS)


@pytest.mark.parametrize(("returned", "score"), [("1", 1.0), ("True", 1.0), ("-2.5", -2.5)])
async def test_whatever_is_a_number_is_a_score(returned, score):
    assert (await run(f"return {returned}")).score == score


@pytest.mark.parametrize("returned", ["None", "'0.5'", "float('nan')", "float('inf')", "[1]", "1j", "10 ** 400"])
async def test_whatever_is_no_number_is_none(returned):
    outcome = await run(f"return {returned}")
    assert outcome.score is None
    assert "no finite number" in (outcome.trouble or "")


async def test_numerical_libraries_work():
    outcome = await run("import numpy as np\nreturn np.linalg.inv(np.eye(50) * 2).trace() / 50")
    assert outcome.score == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def grade(sample, item): return 1 / 0", "ZeroDivisionError"),
        ("def grade(sample): return 1", "TypeError"),
        ("def grade(sample, item) return 1", "SyntaxError"),
        ("score = 1", "defines no function grade"),
        ("grade = 1", "defines no function grade"),
        ("raise SystemExit(0)", "SystemExit"),
        ("def grade(sample, item): return grade(sample, item)", "RecursionError"),
        ("class E(BaseException):\n  def __str__(self): raise E\ndef grade(s, i): raise E", ""),
        ("import os\ndef grade(s, i): os._exit(0)", "exit code 0"),
        ("import ctypes\ndef grade(s, i): ctypes.string_at(0)", "signal 11"),
    ],
)
async def test_a_source_that_fails_gives_no_score_and_says_why(source, told):
    outcome = await Sandbox(QUICK).run(source, {}, {})
    assert (outcome.score, outcome.by_source) == (None, True)
    assert told in (outcome.trouble or "")


@pytest.mark.parametrize(
    "body",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "import subprocess; subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
        "import multiprocessing as m; p = m.get_context('fork').Process(target=print); p.start(); p.join()",
        "os.kill(os.getppid(), 9)",
        "os.killpg(0, 9)",
        "os.setsid()",
        "import ctypes; assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
        "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import fcntl; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())",
    ],
)
async def test_no_process_is_started_or_touched(body):
    outcome = await run(f"{body}\nreturn 1")
    assert outcome.score is None


async def test_a_fork_bomb_does_not_go_off():
    body = "count = 0\nfor _ in range(200):\n  with contextlib.suppress(OSError): os.fork(); count += 1\nreturn count"
    assert (await run(body)).score == 0.0


async def test_threads_end_with_their_process():
    body = "import threading\nfor _ in range(20): threading.Thread(target=time.sleep, args=(60,)).start()\nreturn 1"
    started = time.monotonic()
    assert (await run(body)).score == 1.0
    assert time.monotonic() - started < 20


async def test_there_is_no_network():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        for body in (
            f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
            f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}', timeout=2)",
            "import socket; socket.socket(socket.AF_UNIX).connect('\\0x')",
            "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
            "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        ):
            outcome = await run(f"{body}\nreturn 1")
            assert outcome.score is None
            assert "Operation not permitted" in (outcome.trouble or "")


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/1/cmdline", "/dev/mem"])
async def test_files_elsewhere_are_not_read(path):
    outcome = await run(f"open({path!r}, 'rb').read(1)\nreturn 1")
    assert outcome.score is None


async def test_neither_is_the_home_folder_nor_a_file_of_ours(tmp_path):
    secret = tmp_path / "stillhouse.toml"
    secret.write_text("key = 1")
    for body in (f"open({str(secret)!r})", f"os.listdir({str(Path.home())!r})", "os.listdir('/')", "os.listdir('..')"):
        assert "PermissionError" in ((await run(f"{body}\nreturn 1")).trouble or "")
    for change in ("os.remove({})", "os.chmod({}, 0)", "os.utime({}, (0, 0))", "os.truncate({}, 0)",
                   "os.open({}, os.O_TRUNC)", "os.open({}, 3 | os.O_TRUNC)", "os.rename({}, 'mine')"):  # fmt: skip
        body = change.format(repr(str(secret)))
        assert (await run(f"{body}\nreturn 1")).score is None
    assert (secret.read_text(), secret.stat().st_mtime > 0) == ("key = 1", True)


async def test_it_writes_into_its_own_folder_alone_and_the_folder_goes():
    before = left()
    body = (
        "open('a', 'w').write('x'); os.mkdir('d'); open('d/b', 'w'); os.rename('a', 'c')\nreturn len(os.listdir('.'))"
    )
    assert (await run(body)).score == 2.0
    for path in ("/tmp/stillhouse-was-here", "../was-here", "/dev/shm/was-here"):
        assert (await run(f"open({path!r}, 'w')\nreturn 1")).score is None
        assert not Path(path).exists()
    assert left() <= before


@pytest.mark.parametrize("body", ["os.symlink('/etc/passwd', 'l')", "os.mkfifo('f')", "os.link('/etc/passwd', 'l')"])
async def test_it_makes_no_links_or_pipes(body):
    assert (await run(f"{body}\nreturn 1")).score is None


async def test_there_is_no_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    outcome = await run("return any('secret' in value for value in os.environ.values()) + ('PATH' in os.environ)")
    assert outcome.score == 0.0


async def test_memory_has_an_end():
    outcome = await run("held = []\nwhile True: held.append(bytearray(10 ** 7))", Limits(seconds=20, memory=2**28))
    assert outcome.score is None
    assert "MemoryError" in (outcome.trouble or "")


async def test_so_has_memory_that_is_no_address_space():
    for body in (
        "os.memfd_create('x')",
        "from multiprocessing import shared_memory as s; s.SharedMemory('x', True, 9)",
    ):
        assert (await run(f"{body}\nreturn 1")).score is None


async def test_an_endless_loop_is_killed():
    started = time.monotonic()
    outcome = await run("while True: pass", Limits(seconds=1))
    assert outcome.score is None
    assert time.monotonic() - started < 8


async def test_so_is_one_that_waits_or_hides_its_end():
    for body in ("time.sleep(60)", "os.closerange(3, 60); time.sleep(60)"):
        outcome = await run(body, Limits(seconds=1))
        assert "took longer than 1 s" in (outcome.trouble or "")


async def test_one_that_ignores_signals_is_killed_too():
    body = "import signal\nfor n in range(1, 65):\n  with contextlib.suppress(OSError): signal.signal(n, 1)\nwhile 1: 1"
    assert (await run(body, Limits(seconds=1))).score is None


async def test_a_folder_cannot_be_filled():
    for body in (
        "for n in range(10 ** 6): open(str(n), 'wb').write(bytes(10 ** 6))",
        "for n in range(10 ** 6): open(str(n), 'wb')",
        "with open('x', 'wb') as f:\n  while True: f.write(bytes(10 ** 6))",
    ):
        outcome = await run(body)
        assert outcome.score is None
    assert "File too large" in (outcome.trouble or "") or "filled" in (outcome.trouble or "")


@pytest.mark.parametrize("stream", [1, 2])
async def test_huge_output_goes_nowhere(stream):
    assert (await run(f"for _ in range(200): os.write({stream}, bytes(10 ** 6))\nreturn 0.5")).score == 0.5


async def test_a_printed_result_is_no_result():
    fake = '{"walls": [], "score": 1.0}'
    for body in (
        f"print({fake!r})",
        f"os.write(1, b{fake!r}); os._exit(0)",
        f"sys.stdout.write({fake!r}); os._exit(0)",
    ):
        outcome = await run(f"{body}\nreturn 0")
        assert outcome.score in (0.0, None)


async def test_garbage_where_the_score_belongs_is_no_score():
    for body in (
        "os.write(3, b'nonsense')",
        "os.write(3, b'[1]'); os._exit(0)",
        "while True: os.write(3, bytes(10 ** 5))",
    ):
        assert (await run(f"{body}\nreturn 1")).score is None


async def test_runs_wait_for_their_turn():
    sandbox = Sandbox(Limits(seconds=20, at_once=1))
    source = "import time\ndef grade(sample, item):\n    started = time.monotonic(); time.sleep(0.3); return started"
    scores = [outcome.score for outcome in await asyncio.gather(*[sandbox.run(source, {}, {}) for _ in range(2)])]
    assert None not in scores
    assert abs(scores[0] - scores[1]) >= 0.3


async def test_a_run_that_is_given_up_leaves_nothing():
    before = left()
    task = asyncio.create_task(run("open('x', 'w').write('x')\ntime.sleep(60)"))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left() <= before


async def test_what_cannot_be_handed_over_is_told():
    deep: dict = {}
    for _ in range(300):
        deep = {"a": deep}
    outcome = await run("return 1", item=deep)
    assert (outcome.score, outcome.by_source) == (None, False)
    assert "JSON" in (outcome.trouble or "")
