"""`stillhouse serve`: answers calls with students, teachers and local models, by the API that programs speak."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import actor, emit, progress, words
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.recipes.server import FILE, Captured, CaptureSection, ServerFile, read_server_file
from stillhouse.storage.records import Durability

if TYPE_CHECKING:
    from rich.console import Console
    from starlette.types import ASGIApp

    from stillhouse.bundle.manifest import Manifest
    from stillhouse.gateway.shelf import Policy
    from stillhouse.teachers.api import TeacherApi

__all__ = ["Address", "listen", "serve"]

SECONDS_TO_FINISH = 10
"""How long calls that are being answered may take once the server was told to stop."""
SECONDS_TO_LEAVE = 1.5
"""How long everything else may take after that, such as a model that is just being opened and cannot be interrupted."""

NOBODY = (
    "Nobody is named who answers, so only what is stored is served: files, stored calls, evals, jobs (on "
    "stillhouse/auto), and tuned models. `stillhouse teacher add` names a teacher, --model BUNDLE a student."
)


@dataclass(frozen=True)
class Served:
    """Who is served, for the announcement."""

    manifests: Sequence[Manifest]
    names: Sequence[str]
    file: ServerFile
    url: str | None
    """The teacher's, when options name one."""

    @property
    def folders(self) -> list[str]:
        """Those found under `models` in the home folder, and named nowhere."""
        known = {*self.file.models, *(manifest.name for manifest in self.manifests)}
        named = {alias for section in self.file.teachers.values() for alias in section.models}
        return [name for name in self.names if name not in known | named]

    @property
    def behind(self) -> str | None:
        """Who answers what students leave."""
        return self.url or self.file.teacher


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
        list[Path] | None,
        typer.Option(
            "--model",
            "-m",
            help="A bundle made by `stillhouse distill`; give several to serve them all.",
            show_default="the students of stillhouse.toml",
        ),
    ] = None,
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
            show_default="STILLHOUSE_DATABASE, else stillhouse.db in the home folder",
        ),
    ] = None,
    capture: Annotated[
        Captured | None,
        typer.Option(
            help="Which calls are kept: those with `store: true` (asked), or all but `store: false`.",
            show_default="asked",
        ),
    ] = None,
    durability: Annotated[
        Durability | None,
        typer.Option(
            help="When a stored call is acknowledged: on the disk after a commit of its own (sync) or a shared one "
            "(batch), or before it is (async).",
            show_default="batch",
        ),
    ] = None,
    content: Annotated[
        bool | None,
        typer.Option(
            "--content/--no-content",
            help="Keep what was said, or only numbers: tokens, time, model, route and metadata.",
            show_default="content",
        ),
    ] = None,
    ttl_days: Annotated[
        float | None, typer.Option(help="Days after which stored calls are deleted.", show_default="never")
    ] = None,
    worker: Annotated[
        bool,
        typer.Option("--worker/--no-worker", help="Start a process that does fine-tuning jobs and eval runs, if any."),
    ] = True,
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
    """Answer calls with students, teachers and local models, by the API your programs already speak.

    `stillhouse.toml` in the home folder names who is served (see `stillhouse teacher`) and what is kept; options here
    go before it.

    A call that a student is not sure of, or whose prompt is not of the form it learnt, goes to the
    teacher. Without a teacher it is answered and flagged in the header `x-stillhouse-route`.
    Calls with `store: true` are kept, to be listed and learnt from; the database is made by the first.
    Ctrl-C or SIGTERM ends it once the calls in hand are answered.
    """
    from stillhouse.bundle.erased import marks_told
    from stillhouse.gateway.app import create_app
    from stillhouse.gateway.auth import Gate
    from stillhouse.gateway.crew import Crew
    from stillhouse.gateway.furnish import furnish
    from stillhouse.gateway.judges import Judges
    from stillhouse.gateway.shelf import Shelf
    from stillhouse.inference.onnx_classifier import OnnxClassifier
    from stillhouse.jobs.bases import folders
    from stillhouse.jobs.grader_means import grader_means
    from stillhouse.recipes.terms import check_served

    folder, database = settings.home(home), settings.database(database)
    file = read_server_file(folder)
    bundles = list(model or file.students)
    if teacher and not (bundles or file.serves_something):
        raise UsageError(
            "--teacher answers what students leave, and there is no student. Give --model BUNDLE too; "
            f"`stillhouse teacher add` names a teacher that is asked by itself, in {folder / FILE}."
        )
    helper = _teacher(teacher, teacher_model, teacher_key_env, teacher_timeout)
    classifiers = [OnnxClassifier.open(bundle) for bundle in bundles]
    for note in [*check_served(bundles, folder, database), *marks_told(bundles)]:
        progress().print(note, markup=False, soft_wrap=True)
    locked = _locked(auth, host)
    kept = _policy(file.capture, capture, content, ttl_days, folder)
    shelf = Shelf(database, folder, durability or file.capture.durability, kept)
    house = furnish(file, classifiers, threads or os.cpu_count() or 1, helper)
    judges = Judges(house, partial(grader_means, section=file.evals))
    crew = Crew(database, folder) if worker else None
    if crew:
        house.enter(crew)
    app = create_app(house, shelf, Gate(shelf) if locked else None, judges, crew.wake if crew else lambda: None)
    names = list(dict.fromkeys([*house.names, *folders(folder)]))
    served = Served([each.manifest for each in classifiers], names, file, teacher)
    with listen(host, port) as door:
        key = asyncio.run(_try_out(database, folder, locked)) if locked or shelf.is_there or kept.days else None
        address = Address(host, door.getsockname()[1])
        if crew:
            crew.ask_at(f"{address}/v1")
        _run(app, door, lambda: _announce(address, served, key, json), crew.dismiss if crew else lambda: None)


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
        await store.vault.check()
        if not locked or await store.keys.all():
            return None
        _, secret = await store.keys.create("default", "first", [Scope.ADMIN], actor=actor())
        return secret
    finally:
        await store.close()


def _policy(
    file: CaptureSection, capture: Captured | None, content: bool | None, ttl_days: float | None, home: Path
) -> Policy:
    """What is kept: as the options say, else as the file does."""
    from stillhouse.gateway.redaction import redactors_for
    from stillhouse.gateway.shelf import Policy

    section = CaptureSection(
        calls=capture or file.calls,
        content=file.content if content is None else content,
        ttl_days=file.ttl_days if ttl_days is None else ttl_days,
    )
    redactors = redactors_for(file.redact, file.redact_types, home) if file.redact and section.content else None
    return Policy(section.calls == Captured.ALL, section.content, None, section.ttl_days, redactors)


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


def _run(app: ASGIApp, door: socket.socket, announce: Callable[[], None], dismiss: Callable[[], None]) -> None:
    """Serve until told to stop; `announce` is called once calls are answered, `dismiss` when there shall be no more.

    Whatever hangs, the process ends soon after the calls in hand have had their time.
    """
    import uvicorn

    from stillhouse.gateway.doorkeeper import Doorkeeper

    config = uvicorn.Config(
        app,
        http=Doorkeeper,
        ws="none",
        proxy_headers=False,
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
        while not (server.should_exit or running.done()):
            await asyncio.sleep(0.1)
        if not running.done():
            dismiss()
            late = threading.Timer(SECONDS_TO_FINISH + SECONDS_TO_LEAVE, _leave_late)
            late.daemon = True
            late.start()
        await running

    # Once it has ended, uvicorn raises the signal that ended it anew: unheard, it would make a failure of a clean end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
    if not server.started:
        raise StillhouseError("The server could not start; the lines above say why.")
    _leave()  # Python takes seconds to take PyTorch apart, and many on a busy machine


def _leave_late() -> None:
    logging.getLogger("stillhouse").warning("The server ends now, though not everything in it has come to its end.")
    _leave()


def _leave() -> None:
    """End the process at once; what was to be kept has been."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _announce(address: Address, served: Served, key: str | None, as_json: bool) -> None:
    if as_json:
        teachers = {name: section.base_url for name, section in served.file.teachers.items()}
        told = {"url": str(address), "base_url": f"{address}/v1", "models": list(served.names), "teachers": teachers}
        emit({**told, "teacher": served.behind, "first_key": key})
        return
    console = words()
    console.print(f"[bold]Serving on {address}[/] (Ctrl-C stops it)")
    _tell_who(console, served)
    if key:
        console.print(
            "\nCallers need an API key (`stillhouse keys`). The first, which may do everything, shown this once:"
        )
        console.print(f"  {key}", markup=False, highlight=False, soft_wrap=True)
    name = served.names[0] if served.names else f"{next(iter(served.file.teachers), 'TEACHER')}/MODEL"
    call = f"chat.completions.create(model={name!r}, messages=[...])"
    if not (served.names or served.file.teachers):
        call = 'files.create(file=open("train.jsonl", "rb"), purpose="fine-tune")'
    if served.manifests:
        console.print("\nSend it the prompts you sent the teacher:\n")
    console.print(
        "  from openai import OpenAI\n"
        f'  client = OpenAI(base_url="{address}/v1", api_key="{"..." if key else "unused"}")\n'
        f"  client.{call}",
        markup=False,
        soft_wrap=True,
    )


def _tell_who(console: Console, served: Served) -> None:
    """Everybody who answers, a line each."""
    for manifest in served.manifests:
        sure = "no certified threshold" if manifest.threshold is None else f"sure from {manifest.threshold:.3g}"
        console.print(f"  {manifest.name}: {manifest.student}, learnt from {manifest.teacher}, {sure}", markup=False)
        if served.behind and manifest.threshold is None:
            console.print(
                "  [yellow]! every call of it goes to the teacher, until a certificate holds[/]", highlight=False
            )
    if served.manifests:
        behind = served.behind
        console.print(f"  what they leave goes to {behind}" if behind else "  no teacher: doubtful answers are flagged")
    for name, section in served.file.teachers.items():
        models = ", ".join(section.models) or f"any of its models, as {name}/MODEL"
        console.print(f"  {name} ({section.base_url}): {models}", markup=False, highlight=False)
    for name, place in served.file.models.items():
        console.print(f"  {name}: runs here, from {place}", markup=False, highlight=False)
    for name in served.folders:
        console.print(
            f"  {name}: runs here once it is asked, from models/{name} at home", markup=False, highlight=False
        )
    if not (served.names or served.file.teachers):
        console.print(f"  {NOBODY}", markup=False, highlight=False, soft_wrap=True)
