"""What scripts saw that use the pinned Node client."""

from __future__ import annotations

from pathlib import Path

from tests.node_packages import told_by_node

SOURCE = Path(__file__).with_name("node")


def seen_by_node(script: str, *arguments: str, seconds: float = 120) -> dict:
    """What a script of `tests/wire/node` prints; skips the test where there is no Node client to be had."""
    return told_by_node(SOURCE, "node", script, *arguments, seconds=seconds)
