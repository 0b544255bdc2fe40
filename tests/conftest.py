"""What every test may count on: no word leaves this machine, and in CI nothing is skipped."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.storage.databases import KINDS, database_for, postgres

hypothesis.settings.register_profile("stillhouse", deadline=None)  # speed is shown by benchmarks, never by timed tests
hypothesis.settings.load_profile("stillhouse")

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


class LeavesTheMachine(RuntimeError):
    """A test tried to speak to another machine; not an OSError, so that no retry swallows it."""


def loopback(host: object) -> bool:
    """Whether a host is this machine: localhost, or an address of the loopback."""
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def numeric(host: object) -> bool:
    """Whether finding a host asks nobody: an address already, or none at all."""
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return host in (None, "")
    return True


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection, datagram and name look-up that is not loopback or a Unix socket."""

    def check(sock: socket.socket, address: object) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not loopback(address[0]):
            raise LeavesTheMachine(f"Tests may only speak to this machine, not to {address!r}. Serve it on 127.0.0.1.")

    def guarded(name: str):
        original = getattr(socket.socket, name)

        def method(sock: socket.socket, *args):
            check(sock, args[-1])  # the address comes last in connect, connect_ex and sendto
            return original(sock, *args)

        return method

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, guarded(name))

    look_up = socket.getaddrinfo

    def getaddrinfo(host, *args, **options):
        if not (numeric(host) or loopback(host)):
            raise LeavesTheMachine(f"Tests may only speak to this machine; {host!r} was looked up.")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where PostgreSQL is far below what is tested, it is asked in the slow run; `storage`, `jobs`, `gateway` stay."""
    far = [ROOT / "tests" / name for name in ("cli", "wire", "gateway/routes")]
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        kind = given.get("own_database", given.get("database"))
        if kind == "postgresql" and any(folder in item.path.parents for folder in far):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real datasets that lies beside a development checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data, which is absent")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The PostgreSQL of all tests of a process; whoever keeps something makes a database of its own in it."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="module", params=KINDS)
def database(request) -> str | None:
    """The URL of a database of each kind that a file's tests share; None is the file in the home folder."""
    return database_for(request)


@pytest.fixture(params=KINDS)
def own_database(request) -> str | None:
    """The URL of an empty database of each kind, for one test alone; None is the file in the home folder."""
    return database_for(request)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that tells its reason."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI must not skip: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """In CI a test that skips itself fails."""
    report = yield
    if IN_CI:
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """In CI a file that skips itself fails."""
    report = yield
    if IN_CI:
        refuse_skip(report)
    return report
