"""Stillhouse turns the traffic sent to a large model into a small model you own.

As a library it is a few verbs: `shrink` makes a smaller student of a model, `train` trains it, `label` keeps what a
teacher says, and `objectives` holds what a student can be asked to match. They are imported when first used, so that
`import stillhouse` is instant and works without the `train` extra. Everything else is found in its folder.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from stillhouse.extras import require

if TYPE_CHECKING:
    from stillhouse import objectives as objectives
    from stillhouse.students.shrink import shrink as shrink
    from stillhouse.training.labelling import label as label
    from stillhouse.training.one_call import train as train

__version__ = "0.1.0"

_VERBS = MappingProxyType(
    {
        "label": "stillhouse.training.labelling",
        "shrink": "stillhouse.students.shrink",
        "train": "stillhouse.training.one_call",
    }
)


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        require("train", f"use `stillhouse.{name}`")
        return getattr(import_module(_VERBS[name]), name)
    if name == "objectives":
        require("train", "use `stillhouse.objectives`")
        return import_module("stillhouse.objectives")
    raise AttributeError(f"module 'stillhouse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_VERBS, "objectives"])
