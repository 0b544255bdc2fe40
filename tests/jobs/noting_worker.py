"""A worker whose workflows note what they do in a file of the home folder; run as a program."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from stillhouse.jobs import worker
from stillhouse.jobs.workflows import Shop, Workflow


def note(shop: Shop, *words: object) -> None:
    with (shop.home / "notes").open("a") as file:
        file.write(" ".join(map(str, (os.getpid(), *words))) + "\n")


async def first(shop: Shop, argument: str) -> None:
    note(shop, "first", argument)


async def second(shop: Shop, argument: str) -> None:
    """Goes on until the file that the argument names is there."""
    note(shop, "second", argument)
    while not Path(shop.home, argument).exists():
        await asyncio.sleep(0.02)
    note(shop, "done", argument)


async def wrong(shop: Shop, argument: str) -> None:
    raise ValueError(f"no {argument}")


async def broken(shop: Shop, argument: str, error: Exception) -> None:
    note(shop, "broken", argument, error)


if __name__ == "__main__":
    worker.WORKFLOWS = {
        "slow": Workflow((first, second), broken, at_once=2),
        "bad": Workflow((first, wrong, second), broken),
    }
    setting = worker.Setting.read(sys.stdin.buffer.readline())
    worker.serve(setting, parent=sys.stdin.fileno())
