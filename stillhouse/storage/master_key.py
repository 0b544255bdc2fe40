"""Master keys: 32 random bytes in a file or in the environment, by which all other keys are closed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from stillhouse import settings
from stillhouse.errors import StorageError, UsageError

__all__ = ["MASTER_FILE", "MasterKey", "MasterKeys"]

MASTER_FILE = "master.key"
"""Its name in the home folder, where no other place is named."""

PREFIX = "shmk-"
BYTES, NONCE = 32, 12


@final
@dataclass(frozen=True, slots=True)
class MasterKey:
    """One master key. Data keys are closed by AES-256-GCM, the audit log's head is signed by HMAC-SHA-256.

    Each has a key of its own, which is the HMAC-SHA-256 of its purpose under the master key.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> MasterKey:
        """One that nobody has."""
        return cls(secrets.token_bytes(BYTES))

    @classmethod
    def read(cls, text: str, where: str) -> MasterKey:
        """The key that `text` writes; raises StorageError, which does not show it."""
        try:
            body = text.removeprefix(PREFIX)
            secret = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != BYTES:
            raise StorageError(
                f"{where} holds no master key: one is {PREFIX} and 43 letters, digits, `-` or `_`. "
                "`stillhouse vault init` makes one."
            )
        return cls(secret)

    @property
    def text(self) -> str:
        """How it is written."""
        return PREFIX + base64.urlsafe_b64encode(self.secret).decode().rstrip("=")

    @property
    def id(self) -> str:
        """What it is called, which gives nothing of it away."""
        return f"mk_{hashlib.sha256(b'stillhouse master key' + self.secret).hexdigest()[:16]}"

    def wrap(self, key: bytes, place: bytes) -> bytes:
        """A data key closed, for one place only."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self._derived(b"wrap")).encrypt(nonce, key, place)

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """A data key opened; raises StorageError where it is damaged, or was closed for another place."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._derived(b"wrap")).decrypt(wrapped[:NONCE], wrapped[NONCE:], place)
        except (InvalidTag, ValueError) as error:
            raise StorageError(
                "A data key does not open: its row in `data_keys` is damaged or was changed. Restore a backup."
            ) from error

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        return hmac.digest(self._derived(b"sign"), message, "sha256")

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether a signature is one of this key."""
        return hmac.compare_digest(self.sign(message), signature)

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self.secret, b"stillhouse " + purpose, "sha256")


@final
class MasterKeys:
    """The master keys that a program can have: the first is the one to use, others open what they closed before.

    They are in the environment, or a line each in a file for its owner only.
    """

    def __init__(self, home: Path, file: Path | None = None) -> None:
        """`file` goes before what the environment names, and that before `master.key` in the home folder."""
        chosen = settings.master_key_file(file)
        self.path = chosen or home / MASTER_FILE
        self._spoken = None if file else settings.master_key()
        self._known: tuple[MasterKey, ...] | None = None

    @property
    def where(self) -> str:
        """Where they are looked for."""
        return settings.MASTER_KEY if self._spoken else str(self.path)

    @property
    def can_change(self) -> bool:
        """Whether they lie in a file, which can be written."""
        return not self._spoken

    def all(self, afresh: bool = False) -> tuple[MasterKey, ...]:
        """Every one; raises StorageError where what is there is no key, or others can read it."""
        if self._known is None or afresh:
            self._known = tuple(MasterKey.read(word, self.where) for word in self._words())
        return self._known

    @property
    def current(self) -> MasterKey | None:
        """The one to use."""
        return next(iter(self.all()), None)

    def find(self, key_id: str) -> MasterKey | None:
        """One by its id; a file is read anew when it was not known, because keys may have been changed."""
        for afresh in (False, True):
            for key in self.all(afresh):
                if key.id == key_id:
                    return key
        return None

    def write(self, *keys: MasterKey) -> None:
        """Put keys into the file, in place of those that are there."""
        if not self.can_change:
            raise UsageError(
                f"The master key comes from {settings.MASTER_KEY}, which cannot be changed from here. Put the new key "
                "in front of the old one there, with a comma between them, and run this again."
            )
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = self.path.with_name(f".{self.path.name}.partial")
        waiting.unlink(missing_ok=True)
        with os.fdopen(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("".join(f"{key.text}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(self.path)
        self._known = tuple(keys)

    def _words(self) -> list[str]:
        if self._spoken:
            return self._spoken.replace(",", " ").split()
        try:
            shared = self.path.stat().st_mode & 0o077
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"The master key in {self.path} cannot be read: {error}.") from error
        if shared:
            raise StorageError(f"Others can read the master key in {self.path}. Take that away: chmod 600 {self.path}")
        return text.split()
