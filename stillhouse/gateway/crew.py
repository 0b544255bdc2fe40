"""Crew: the worker process beside a gateway: started with the first work, again when it crashes, ended with it."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import final

import orjson

from stillhouse.gateway.shelf import FILE

__all__ = ["Crew"]

SECONDS_TO_END = 8
"""How long a worker may take to end before it is killed, which costs no more than work since its last checkpoint."""
LONGEST_PAUSE = 30.0
"""Seconds between two starts of a worker that keeps crashing."""


@final
class Crew:
    """The one worker that a gateway starts. It ends with the gateway, however that ends."""

    def __init__(self, database: str | None, home: Path) -> None:
        self._order: dict[str, str | None] = {"home": str(home.absolute()), "database": database, "gateway": None}
        self._home = home
        self._watch: asyncio.Task[None] | None = None
        self._dismissed = False

    def ask_at(self, gateway: str) -> None:
        """Tell the base URL by which the worker asks models, before it is started."""
        self._order["gateway"] = gateway

    async def __aenter__(self) -> Crew:
        """Have a worker at once where something may have been left to do."""
        if self._order["database"] is not None or (self._home / FILE).is_file():
            self.wake()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def wake(self) -> None:
        """Have a worker from now on, unless the gateway is about to end."""
        if self._watch is None and not self._dismissed:
            self._watch = asyncio.create_task(self._keep(), name="crew")

    def dismiss(self) -> None:
        """Tell the worker to end, and start no other: calls that are still being answered need none."""
        if self._watch and not self._dismissed:  # a second cancel would keep it from waiting for the worker's end
            self._watch.cancel()
        self._dismissed = True

    async def close(self) -> None:
        """Back when the worker has ended; what it was at is gone on with by the next one."""
        self.dismiss()
        if self._watch:
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    async def _keep(self) -> None:
        pause = 0.5
        while True:
            started = asyncio.get_running_loop().time()
            code = await self._work()
            lasted = asyncio.get_running_loop().time() - started
            pause = 0.5 if lasted > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            words = "The worker ended with code %s. Another one is started in %.0f seconds."
            logging.getLogger("stillhouse.gateway").error(words, code, pause)
            await asyncio.sleep(pause)

    async def _work(self) -> int:
        """One worker's life; it reads its order from a pipe whose end tells it that the gateway has ended."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stillhouse.jobs.worker", stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        assert process.stdin
        try:
            process.stdin.write(orjson.dumps(self._order) + b"\n")
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), SECONDS_TO_END)
                except TimeoutError:
                    process.kill()
                    await process.wait()
