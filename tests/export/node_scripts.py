"""What scripts say that load exports by the pinned Node packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import node_packages

SOURCE = Path(__file__).with_name("node")


def told_by_node(script: str, *arguments: str, questions: Any) -> Any:
    """What a script of `tests/export/node` prints; skips the test where its packages cannot be had."""
    given = json.dumps(questions)
    return node_packages.told_by_node(SOURCE, "node-export", script, *arguments, given=given, seconds=240)
