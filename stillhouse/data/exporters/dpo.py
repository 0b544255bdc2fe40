"""Preference rows for TRL: prompt, chosen and rejected, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stillhouse.data.exporters.out import Exported, Unfit, write_lines
from stillhouse.data.items import Item
from stillhouse.data.shelf import Shelf

__all__ = ["write_dpo"]


def write_dpo(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """A row for each item with a better and a worse answer; others are left out and counted."""
    return write_lines(items, out, _row)


def _row(item: Item) -> Mapping[str, Any]:
    if item.answer is None or item.rejected is None:
        raise Unfit("it has no better and worse answer")
    if item.media:
        raise Unfit("it has a file, which these rows do not hold")
    return {"prompt": list(item.messages), "chosen": [item.answer], "rejected": [item.rejected]}
