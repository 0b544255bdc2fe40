"""Receipts of erasures: JSON signed with Ed25519 (RFC 8032), in which the subject stands as a keyed hash only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from stillhouse.errors import DataError, StorageError

__all__ = ["FILE", "Notary", "check_receipt", "read_receipt"]

FILE = "erasure.key"
"""The name of the key in the home folder: 32 bytes, for its owner alone."""

FORMAT = 1
PURPOSE = b"stillhouse erasure: subject"


@final
class Notary:
    """Signs receipts, and hashes names so that only who has its key can tell whose a receipt is."""

    def __init__(self, secret: bytes) -> None:
        self._secret, self._key = secret, Ed25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def open(cls, home: Path, make: bool = True) -> Notary | None:
        """The notary of a home folder; None where it has none and none is to be made. Raises StorageError."""
        path = home / FILE
        try:
            if not path.is_file():
                if not make:
                    return None
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
                waiting = home / f".{FILE}.{os.getpid()}"
                waiting.touch(mode=0o600)
                waiting.write_bytes(os.urandom(32))
                try:
                    os.link(waiting, path)  # whoever comes first, its key holds
                except FileExistsError:
                    pass
                finally:
                    waiting.unlink()
            secret = path.read_bytes()
        except OSError as error:
            raise StorageError(f"The key {path} that signs receipts cannot be had: {error.strerror}.") from error
        if len(secret) != 32:
            raise StorageError(f"{path} is no key: it has {len(secret)} bytes, not 32. Put the right one back.")
        return cls(secret)

    @property
    def public(self) -> str:
        """The public key, in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def subject(self, project: str, subject: str) -> str:
        """A name as a keyed hash: HMAC-SHA-256, in hex."""
        key = hmac.new(self._secret, PURPOSE, hashlib.sha256).digest()
        return hmac.new(key, orjson.dumps([project, subject]), hashlib.sha256).hexdigest()

    def sign(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """A receipt with its signature; whatever stood there as one is replaced."""
        told = {**receipt, "object": "erasure.receipt", "format": FORMAT}
        told.pop("signature", None)
        value = base64.b64encode(self._key.sign(_canonical(told))).decode()
        return {**told, "signature": {"algorithm": "Ed25519", "public_key": self.public, "value": value}}


def read_receipt(path: Path) -> dict[str, Any]:
    """A receipt from a file; raises DataError where it is none."""
    try:
        receipt: Any = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a receipt: {error}.") from error
    if not isinstance(receipt, dict) or cast("dict[str, Any]", receipt).get("object") != "erasure.receipt":
        raise DataError(f"{path} is no receipt of an erasure: it has no `object` that says so.")
    return cast("dict[str, Any]", receipt)


def check_receipt(receipt: Mapping[str, Any]) -> str:
    """The public key by which a receipt is signed; raises DataError where it was changed since."""
    told = dict(receipt)
    signature = told.pop("signature", None)
    try:
        key: str = signature["public_key"]
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        public.verify(base64.b64decode(signature["value"], validate=True), _canonical(told))
    except (InvalidSignature, KeyError, TypeError, ValueError) as error:
        raise DataError(
            "The receipt is not as it was signed: it was changed, or its signature is of another. Ask for it "
            "again where it was made: stillhouse erase list"
        ) from error
    return key


def _canonical(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
