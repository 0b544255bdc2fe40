"""The live view of something that is copied: what is being done, and how much of it was done so far."""

from __future__ import annotations

from types import TracebackType
from typing import final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

__all__ = ["Transfer"]


@final
class Transfer:
    """Hears of bytes, or of things, as they are done; a bar on a terminal, nothing elsewhere."""

    def __init__(self, console: Console, total: int | None = None, unit: str = "") -> None:
        """`total` is how many there are of each kind of work, where that is known; `unit` is empty for bytes."""
        count = TextColumn("{task.completed:.0f} " + unit) if unit else DownloadColumn()
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            count,
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._total = total
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Transfer:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: int) -> None:
        """So much more of a kind of work is done."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=self._total)
        self._bars.advance(self._tasks[what], done)
