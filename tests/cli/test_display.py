"""The live view: plain lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import contextlib
import io
import os
import signal

import pytest
from rich.console import Console

from stillhouse.cli.display import Display
from stillhouse.training.events import Note, Progress, StageDone, StageStarted

EVENTS = (
    StageStarted("words", "Student [words]"),
    Progress("words", 5, 10, "loss 0.5, best 90.0%"),
    StageDone("words", "97.0% on [selection] rows", False, 1.25),
    StageStarted("static", "Student static"),
    StageDone("static", "98.0%", True, 7.0),
    Note("Rows: train 10."),
    Note("3 bad rows [aside]", warning=True),
)


@pytest.mark.parametrize("terminal", [False, True])
def test_stages_notes_and_warnings_are_lines(terminal):
    written = io.StringIO()
    with Display(Console(file=written, force_terminal=terminal, width=100, color_system=None)) as display:
        for event in EVENTS:
            display(event)
    shown = written.getvalue()
    assert "✓ words        97.0% on [selection] rows (1.2 s)" in shown
    assert "✓ static       98.0% (done before)" in shown
    assert "· Rows: train 10." in shown
    assert "! 3 bad rows [aside]" in shown
    assert ("loss 0.5" in shown) <= terminal


def test_progress_outside_a_stage_is_passed_over():
    written = io.StringIO()
    with Display(Console(file=written)) as display:
        display(Progress("words", 1, 2, "early"))
    assert written.getvalue() == ""


def test_ctrl_c_ends_a_run_even_where_its_exception_gets_lost():
    written, shown = io.StringIO(), []
    outer = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore Ctrl-C

    def run() -> None:
        with Display(Console(file=written)) as display:
            for event in EVENTS:
                display(event)
                shown.append(event)
                with contextlib.suppress(KeyboardInterrupt):  # as a finaliser does
                    os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(shown) == 1
    assert "Interrupted. The same command goes on from here." in written.getvalue()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, outer)
