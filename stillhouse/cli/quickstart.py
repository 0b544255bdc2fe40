"""`stillhouse quickstart`: the whole flow on bundled traffic, down to one answered call."""

from __future__ import annotations

import json as json_format
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.errors import StillhouseError

__all__ = ["quickstart"]

REQUEST = "hi, i was charged twice for my plus membership this month, can you refund one of the payments please"
"""A call that the bundled traffic does not hold."""


def quickstart(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make: the bundle.")] = Path(
        "quickstart-student"
    ),
    home: Annotated[Path | None, typer.Option(help="The folder that holds unfinished and finished stages.")] = None,
    fresh: Annotated[bool, typer.Option(help="Do every stage again, whatever was finished before.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Distil the bundled traffic of a support desk, serve the student and call it once.

    2,100 requests to a support desk, each answered with an intent and a priority, become a small student
    with a certificate and a report. The requests and answers are synthetic: they were written for this
    purpose, by a large model, one by one. Some minutes on two cores.
    """
    from stillhouse.bundle.manifest import read_manifest
    from stillhouse.chat import Message
    from stillhouse.cli.distill import run_recipe, show_outcome
    from stillhouse.evaluation.answers import Terms
    from stillhouse.gateway.call import call_once
    from stillhouse.recipes.recipe import DistillRecipe

    with as_file(files("stillhouse.data") / "samples" / "support_desk.jsonl.gz") as traffic:
        recipe = DistillRecipe(
            traffic=(traffic,),
            out=out,
            name="support-desk",
            terms=Terms(risk=0.1),  # 2,100 calls are too few to promise 2 %
            students=("words", "static", "encoder-6"),  # what fits into some minutes
        )
        outcome = run_recipe(recipe, settings.home(home), fresh=fresh)
    prompt = read_manifest(out).prompt
    asked = [*prompt.leading, Message("user", f"{prompt.prefix}{REQUEST}{prompt.suffix}")]
    with _served(out) as url:
        answer = call_once(url, recipe.student_name, asked)
    if json:
        emit(outcome.to_json() | {"call": {"request": REQUEST, "answer": answer.text, "route": answer.route}})
        return
    show_outcome(outcome)
    words().print(
        f"\nServed and called once:\n  request  {REQUEST}\n  answer   {answer.text}\n  route    {answer.route}\n\n"
        "Now your own traffic:\n"
        "  stillhouse distill your-calls.jsonl --out student\n"
        "  stillhouse serve --model student\n"
        "  and point your client's base_url at http://127.0.0.1:8000/v1",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _served(bundle: Path) -> Generator[str]:
    """A server of the bundle in a process of its own; gives its base URL, and ends it afterwards."""
    command = [sys.executable, "-m", "stillhouse", "serve", "--model", str(bundle), "--port", "0", "--json"]
    progress().print("· Starting the server", style="dim", highlight=False)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line:
                raise StillhouseError("The server did not start; try `stillhouse serve` by hand to see why.")
            listening: dict[str, Any] = json_format.loads(line)
            yield str(listening["base_url"])
        finally:
            server.terminate()
            server.wait(timeout=15)
