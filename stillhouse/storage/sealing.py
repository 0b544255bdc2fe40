"""Sealing: bodies encrypted with AES-256-GCM, each bound to its place, so that none can stand for another.

A sealed body is `\\0shv1`, the 16 bytes of its key's id, a nonce of 12 random bytes, and the ciphertext with its tag of
16 bytes (NIST SP 800-38D). What is authenticated along with it is the beginning, the key's id and the place: project,
table, row and column. Bodies that are not sealed are JSON, which never begins with a zero byte.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import orjson

from stillhouse.errors import StorageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["ADDED", "BEGINNING", "HEAD", "DataKey", "Place", "is_sealed", "key_id_of"]

BEGINNING = b"\0shv1"
ID, NONCE, TAG = 16, 12, 16
HEAD = len(BEGINNING) + ID
"""Bytes that say that a body is sealed, and by which key."""
ADDED = HEAD + NONCE + TAG
"""Bytes that a body grows by."""

Place = tuple[str, str, str, str]
"""Where a body lies: project, table, row and column."""


@final
@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that closes and opens bodies."""

    id: str
    """32 hexadecimal digits."""
    version: int
    cipher: AESGCM = field(repr=False)

    @classmethod
    def of(cls, key_id: str, version: int, secret: bytes) -> DataKey:
        """The key of a secret of 32 bytes."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # what nobody uses need not be imported

        return cls(key_id, version, AESGCM(secret))

    def seal(self, body: bytes, place: Place) -> bytes:
        """A body closed, to be opened in this place only."""
        head, nonce = BEGINNING + bytes.fromhex(self.id), os.urandom(NONCE)
        return head + nonce + self.cipher.encrypt(nonce, body, head + orjson.dumps(place))

    def open(self, sealed: bytes, place: Place) -> bytes:
        """A body opened; raises StorageError where it was changed, or sealed in another place."""
        from cryptography.exceptions import InvalidTag

        head, nonce = sealed[:HEAD], sealed[HEAD : HEAD + NONCE]
        try:
            return self.cipher.decrypt(nonce, sealed[HEAD + NONCE :], head + orjson.dumps(place))
        except (InvalidTag, ValueError) as error:
            raise StorageError(
                f"What is encrypted in {place[1]}.{place[3]} of {place[2]} does not open: it was changed, or comes "
                "from another row. Restore it from a backup."
            ) from error


def is_sealed(body: bytes | None) -> bool:
    """Whether a body is encrypted."""
    return body is not None and body.startswith(BEGINNING)


def key_id_of(sealed: bytes) -> str:
    """The id of the key that closed a body."""
    return sealed[len(BEGINNING) : HEAD].hex()
