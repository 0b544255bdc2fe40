"""`stillhouse serve`: answers calls with bundles, behind the API that programs already speak."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, words
from stillhouse.errors import StillhouseError, UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from stillhouse.bundle.manifest import Manifest
    from stillhouse.teachers.api import TeacherApi

__all__ = ["Address", "listen", "serve"]

SECONDS_TO_FINISH = 10
"""How long calls that are being answered may take once the server was told to stop."""


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
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the URL and the models once it listens.")
    ] = False,
) -> None:
    """Answer calls with students, behind the API your programs already speak.

    A call that a student is not sure of, or whose prompt is not of the form it learnt, goes to the
    teacher. Without a teacher it is answered and flagged in the header `x-stillhouse-route`.
    Ctrl-C or SIGTERM ends it once the calls in hand are answered.
    """
    from stillhouse.gateway.app import create_app
    from stillhouse.inference.onnx_classifier import OnnxClassifier

    helper = _teacher(teacher, teacher_model, teacher_key_env, teacher_timeout)
    classifiers = [OnnxClassifier.open(bundle) for bundle in model]
    app = create_app(classifiers, helper, workers=threads or os.cpu_count() or 1)
    manifests = [classifier.manifest for classifier in classifiers]
    with listen(host, port) as door:
        address = Address(host, door.getsockname()[1])
        _run(app, door, lambda: _announce(address, manifests, teacher, json))


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


def _announce(address: Address, manifests: Sequence[Manifest], teacher: str | None, as_json: bool) -> None:
    names = [manifest.name for manifest in manifests]
    if as_json:
        emit({"url": str(address), "base_url": f"{address}/v1", "models": names, "teacher": teacher})
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
    console.print("\nSend it the prompts you sent the teacher:\n")
    console.print(
        "  from openai import OpenAI\n"
        f'  client = OpenAI(base_url="{address}/v1", api_key="unused")\n'
        f"  client.chat.completions.create(model={names[0]!r}, messages=[...])",
        markup=False,
        soft_wrap=True,
    )
