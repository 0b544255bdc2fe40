"""The live view of a run: its stages, how far each is, how long it may take, and the best so far."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from stillhouse.training import events

__all__ = ["Display"]


@final
class Display:
    """Listens to a run and shows it: a bar on a terminal, plain lines elsewhere. Ctrl-C ends the run.

    Python drops what Ctrl-C raises where nobody can catch it, in finalisers and in callbacks of C libraries. Then it is
    raised again at the run's next event.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._running: TaskID | None = None
        self._pressed = False
        self._before: Any = None

    def __enter__(self) -> Display:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._press)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if kind is KeyboardInterrupt:
            self.console.print("Interrupted. The same command goes on from here.")

    def __call__(self, event: events.Event) -> None:
        """Show one event; raises KeyboardInterrupt once Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt
        match event:
            case events.StageStarted(title=title):
                self._finish()
                self._running = self._bars.add_task(escape(title), total=None, note="")
            case events.Progress(done=done, total=total, note=note) if self._running is not None:
                self._bars.update(self._running, completed=done, total=total, note=escape(note))
            case events.StageDone() as done:
                self._finish()
                self._line(done)
            case events.Note(text=text, warning=warning):
                style = "yellow" if warning else "dim"
                self.console.print(f"[{style}]{'!' if warning else '·'} {escape(text)}[/]", highlight=False)
            case _:
                pass

    def _press(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        raise KeyboardInterrupt

    def _line(self, done: events.StageDone) -> None:
        took = "done before" if done.skipped else f"{done.seconds:.1f} s"
        self.console.print(
            f"[green]✓[/] [bold]{escape(done.stage):<12}[/] {escape(done.summary)} [dim]({took})[/]", highlight=False
        )

    def _finish(self) -> None:
        if self._running is not None:
            self._bars.remove_task(self._running)
            self._running = None
