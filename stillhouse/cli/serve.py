"""`stillhouse serve`: answers calls with bundles, behind the API that programs already speak."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, words
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.storage.records import Durability

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from stillhouse.bundle.manifest import Manifest
    from stillhouse.teachers.api import TeacherApi

__all__ = ["Address", "Captured", "listen", "serve"]

SECONDS_TO_FINISH = 10
"""How long calls that are being answered may take once the server was told to stop."""


class Captured(StrEnum):
    """Which calls are kept."""

    ASKED = "asked"
    ALL = "all"


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{self.port}"


def serve(
    model: Annotated[
        list[Path],
        typer.Option("--model", "-m", help="A bundle made by `stillhouse distill`; give several to serve them all."),
    ],
    teacher: Annotated[
        str | None, typer.Option(help="Base URL of an OpenAI-compatible API that answers what the student leaves.")
    ] = None,
    teacher_model: Annotated[str | None, typer.Option(help="The teacher's name at that API.")] = None,
    teacher_key_env: Annotated[
        str | None, typer.Option(help="The environment variable that holds the API key of the teacher.")
    ] = None,
    teacher_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds a teacher may take for one answer, retries included.")
    ] = 60.0,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 picks a free one.")] = 8000,
    threads: Annotated[
        int, typer.Option(min=0, help="Batches that each student answers at once, a thread each; 0 for one per core.")
    ] = 0,
    home: Annotated[Path | None, typer.Option(help="The folder that holds everything.", show_default=False)] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="Where calls with `store: true` are kept: sqlite:///FILE or postgresql://user:password@host/name.",
            show_default="stillhouse.db in the home folder",
        ),
    ] = None,
    capture: Annotated[
        Captured,
        typer.Option(help="Which calls are kept: those with `store: true` (asked), or all but `store: false`."),
    ] = Captured.ASKED,
    durability: Annotated[
        Durability,
        typer.Option(
            help="When a stored call is acknowledged: on the disk after a commit of its own (sync) or a shared one "
            "(batch), or before it is (async)."
        ),
    ] = Durability.BATCH,
    auth: Annotated[
        bool | None,
        typer.Option(
            "--auth/--no-auth",
            help="Let in callers with an API key only (see `stillhouse keys`), or everybody, which only --host "
            "127.0.0.1 may.",
            show_default="keys are asked for unless only this machine can call",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the URL and the models once it listens.")
    ] = False,
) -> None:
    """Answer calls with students, behind the API your programs already speak.

    A call that a student is not sure of, or whose prompt is not of the form it learnt, goes to the
    teacher. Without a teacher it is answered and flagged in the header `x-stillhouse-route`.
    Calls with `store: true` are kept, to be listed and learnt from; the database is made by the first.
    Ctrl-C or SIGTERM ends it once the calls in hand are answered.
    """
    from stillhouse.gateway.app import create_app
    from stillhouse.gateway.auth import Gate
    from stillhouse.gateway.shelf import Shelf
    from stillhouse.inference.onnx_classifier import OnnxClassifier

    helper = _teacher(teacher, teacher_model, teacher_key_env, teacher_timeout)
    classifiers = [OnnxClassifier.open(bundle) for bundle in model]
    locked = _locked(auth, host)
    shelf = Shelf(database, settings.home(home), durability, capture == Captured.ALL)
    app = create_app(classifiers, helper, threads or os.cpu_count() or 1, shelf, Gate(shelf) if locked else None)
    manifests = [classifier.manifest for classifier in classifiers]
    with listen(host, port) as door:
        key = asyncio.run(_try_out(database, settings.home(home), locked)) if locked or database else None
        address = Address(host, door.getsockname()[1])
        _run(app, door, lambda: _announce(address, manifests, teacher, key, json))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises StillhouseError when the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except socket.gaierror as error:
        raise UsageError(f"--host {host} is not an address of this machine ({error.strerror}).") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = f"Choose another, for example --port {port + 1}, or --port 0 for any that is free."
            raise StillhouseError(f"Port {port} on {host} is taken already. {advice}") from error
        raise StillhouseError(f"Cannot listen on {host}, port {port}: {error.strerror}.") from error


def _locked(auth: bool | None, host: str) -> bool:
    """Whether callers need a key; raises UsageError where other machines could call without one."""
    try:
        alone = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = False
    if auth is False and not alone:
        raise UsageError(
            f"--no-auth with --host {host} would let everybody in who reaches this machine. Leave one out."
        )
    return not alone if auth is None else auth


async def _try_out(database: str | None, home: Path, locked: bool) -> str | None:
    """Open the database, so that what is wrong with it is said before anybody calls; the first key, if it is made."""
    from stillhouse.storage.records import Scope
    from stillhouse.storage.store import Store

    store = await Store.open(database, home)
    try:
        if not locked or await store.keys.all():
            return None
        _, secret = await store.keys.create("default", "first", [Scope.ADMIN])
        return secret
    finally:
        await store.close()


def _teacher(url: str | None, model: str | None, key_variable: str | None, seconds: float) -> TeacherApi | None:
    from stillhouse.teachers.api import TeacherApi
    from stillhouse.teachers.asking import Patience

    if url is None:
        if model or key_variable:
            raise UsageError("--teacher-model and --teacher-key-env need --teacher, the base URL of the teacher's API.")
        return None
    if model is None:
        raise UsageError("--teacher needs --teacher-model: the name the teacher has at that API, such as gpt-4o-mini.")
    key = settings.secret(key_variable) if key_variable else None
    return TeacherApi(url, model, key, Patience(total=seconds))


def _run(app: ASGIApp, door: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until told to stop; `announce` is called once calls are answered."""
    import uvicorn

    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    server = uvicorn.Server(config)

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    async def run() -> None:
        running = asyncio.create_task(server.serve(sockets=[door]))
        while not (server.started or running.done()):
            await asyncio.sleep(0.01)
        if server.started:
            announce()
        await running

    # Once it has ended, uvicorn raises the signal that ended it anew: unheard, it would make a failure of a clean end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
    if not server.started:
        raise StillhouseError("The server could not start; the lines above say why.")


def _announce(
    address: Address, manifests: Sequence[Manifest], teacher: str | None, key: str | None, as_json: bool
) -> None:
    names = [manifest.name for manifest in manifests]
    if as_json:
        emit({"url": str(address), "base_url": f"{address}/v1", "models": names, "teacher": teacher, "first_key": key})
        return
    console = words()
    console.print(f"[bold]Serving on {address}[/] (Ctrl-C stops it)")
    for manifest in manifests:
        sure = "no certified threshold" if manifest.threshold is None else f"sure from {manifest.threshold:.3g}"
        console.print(f"  {manifest.name}: {manifest.student}, learnt from {manifest.teacher}, {sure}", markup=False)
        if teacher and manifest.threshold is None:
            console.print(
                "  [yellow]! every call of it goes to the teacher, until a certificate holds[/]", highlight=False
            )
    console.print(f"  what they leave goes to {teacher}" if teacher else "  no teacher: doubtful answers are flagged")
    if key:
        console.print(
            "\nCallers need an API key (`stillhouse keys`). The first, which may do everything, shown this once:"
        )
        console.print(f"  {key}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nSend it the prompts you sent the teacher:\n")
    console.print(
        "  from openai import OpenAI\n"
        f'  client = OpenAI(base_url="{address}/v1", api_key="{"..." if key else "unused"}")\n'
        f"  client.chat.completions.create(model={names[0]!r}, messages=[...])",
        markup=False,
        soft_wrap=True,
    )
