"""Sealing: a value that only a key makes readable again, the key of a project, and hashes that need it too.

A sealed value is AES-256-GCM with a nonce that is a keyed hash of the value, so that equal values give equal tokens
and a run can be repeated to the byte; two different values share a nonce with probability 2^-96 for a pair.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections import Counter
from pathlib import Path

from stillhouse.errors import DataError, UsageError

__all__ = ["TOKEN", "hashed", "key_of", "reveal", "seal"]

TOKEN = re.compile(r"\[([A-Z_]+)#([\w\-]{38,}={0,2})\]")
NONCE = 12
LENGTH = 12
"""Hexadecimal digits of a hash."""
PROJECT, LONGEST_NAME = re.compile(r"[\w.-]{1,128}"), 251
"""What names of projects are like that can name a file, and how many bytes they have before `.key`."""


def hashed(value: str, kind: str, key: bytes) -> str:
    """HMAC-SHA-256 of a value, however it is written: small letters alone, without the signs between digits."""
    plain = re.sub(r"[\s()./-]", "", value) if any(map(str.isdigit, value)) else " ".join(value.split())
    return hmac.new(
        _derived(key, "hash"), f"{kind}|{plain.casefold()}".encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()[:LENGTH]


def seal(value: str, kind: str, key: bytes) -> str:
    """A value encrypted, as letters, digits, hyphens and underscores; its kind is authenticated along with it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    plain = value.encode("utf-8", "surrogatepass")
    nonce = hmac.new(_derived(key, "nonce"), kind.encode() + b"|" + plain, hashlib.sha256).digest()[:NONCE]
    closed = AESGCM(_derived(key, "seal")).encrypt(nonce, plain, kind.encode())
    return base64.urlsafe_b64encode(nonce + closed).decode().rstrip("=")


def reveal(text: str, key: bytes, counts: Counter[str] | None = None) -> str:
    """A text with all that was sealed by this key readable again; `counts` says how much, `unopened` what was not."""

    def opened(found: re.Match[str]) -> str:
        value = _open(found[2], found[1], key)
        if counts is not None:
            counts[found[1].lower() if value is not None else "unopened"] += 1
        return found.group() if value is None else value

    return TOKEN.sub(opened, text) if "#" in text else text


def key_of(home: Path, project: str, make: bool = True) -> bytes:
    """The key of a project, in the home folder and readable by its owner alone; made when it is first needed.

    Raises UsageError where there is none and none is to be made, DataError where it is damaged.
    """
    path = home / "redaction" / f"{_file_name(project)}.key"
    if not path.is_file():
        if not make:
            raise UsageError(
                f"There is no key of the project {project!r} in {path.parent}; nothing was sealed with one."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = path.with_name(f".{secrets.token_hex(8)}")
        with os.fdopen(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(waiting, path)  # the first of several wins
        except FileExistsError:
            pass
        finally:
            waiting.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise DataError(f"{path} is damaged: it has {len(key)} bytes, and a key has 32. Take it from a backup.")
    return key


def _file_name(project: str) -> str:
    """The name of a project where it can name a file, else its hash, behind a sign that no such name has."""
    encoded = project.encode("utf-8", "surrogatepass")
    is_plain = PROJECT.fullmatch(project) and len(encoded) <= LONGEST_NAME
    return project if is_plain else f"~{hashlib.sha256(encoded).hexdigest()[:32]}"


def _open(token: str, kind: str, key: bytes) -> str | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        closed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        plain = AESGCM(_derived(key, "seal")).decrypt(closed[:NONCE], closed[NONCE:], kind.encode())
        return plain.decode("utf-8", "surrogatepass")
    except (ValueError, InvalidTag):
        return None


def _derived(key: bytes, use: str) -> bytes:
    """A key for one use alone: HMAC-SHA-256 of its name."""
    return hmac.new(key, f"stillhouse redaction {use}".encode(), hashlib.sha256).digest()
