"""Records of datasets: a version, a file of an item, who learnt from a version, and where versions lie."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

__all__ = ["Edge", "StoredMedia", "StoredUse", "StoredVersion", "version_folder"]

Edge = tuple[str, int]
"""A version by its name and number."""

FOLDER = "datasets"
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Projects that can name a folder as they are, on every system; others are hashed."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it is kept; `step` is the JSON of what made it."""

    name: str
    number: int
    created: int
    """Unix seconds."""
    hash: str
    """SHA-256 of its items."""
    items: int
    dropped: int
    """Items that its step left out, which lie beside it with the reasons."""
    bytes: int
    """Of its folder."""
    step: bytes
    parents: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """The bytes of a file that items carry, by their SHA-256."""

    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class StoredUse:
    """Something that learnt from a version."""

    version: Edge
    kind: str
    """What it is: `bundle`, `job`, ..."""
    user: str
    """Its folder or its id."""
    created: int


def version_folder(project: str, edge: Edge) -> str:
    """Where the files of a version lie in the home folder."""
    plain = PLAIN.fullmatch(project)
    return f"{FOLDER}/{project if plain else _hashed(project)}/{edge[0]}/{edge[1]}"


def _hashed(project: str) -> str:
    """A folder that no plain project has."""
    return f".{hashlib.sha256(project.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
