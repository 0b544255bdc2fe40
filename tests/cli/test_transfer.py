"""The view of a transfer: kinds of work with what was done of each, and silence where nobody looks."""

from __future__ import annotations

import io

from rich.console import Console

from stillhouse.cli.transfer import Transfer


def test_each_kind_of_work_is_shown_on_a_terminal():
    shown = io.StringIO()
    with Transfer(Console(file=shown, force_terminal=True, width=100), total=2_000_000) as told:
        told("Checking", 1_500_000)
        told("Restoring", 500_000)
    assert "Checking" in shown.getvalue()
    assert "1.5/2.0 MB" in shown.getvalue()
    assert "Restoring" in shown.getvalue()


def test_things_are_counted_by_their_name():
    shown = io.StringIO()
    with Transfer(Console(file=shown, force_terminal=True, width=100), unit="rows") as told:
        told("Reading", 3)
        told("Reading", 4)
    assert "7 rows" in shown.getvalue()


def test_nothing_is_shown_elsewhere():
    shown = io.StringIO()
    with Transfer(Console(file=shown)) as told:
        told("Checking", 1)
    assert shown.getvalue() == ""
