"""How a thing is named (`name@version`), hashed and found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

__all__ = ["hash_bytes", "hash_file", "hash_folder", "hash_json", "hash_lines"]


def hash_bytes(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def hash_json(value: object) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hash_bytes(text.encode())


def hash_lines(lines: Iterable[str]) -> str:
    """SHA-256 of lines in order, without holding them."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(path: Path) -> str:
    """SHA-256 over the names and bytes of every file under a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return hash_lines(f"{file.relative_to(path).as_posix()} {hash_file(file)}" for file in files)
