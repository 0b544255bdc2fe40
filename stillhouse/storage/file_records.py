"""Files, uploads and their parts as they come out of the database; knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Blob", "NewFile", "StoredFile", "Upload", "UploadPart", "UploadState"]


class UploadState(StrEnum):
    """What has become of an upload."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are on the disk: their SHA-256 in hex, and how many they are."""

    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class NewFile:
    """What is said of a file when it is made: it lasts `lasts` seconds, or until it is deleted."""

    filename: str
    purpose: str
    lasts: int | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file without its bytes; times are in Unix seconds."""

    id: str
    created: int
    filename: str
    purpose: str
    blob: Blob
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that comes in parts: what it shall be, until when parts are taken, and the file it became."""

    id: str
    created: int
    expires: int
    new: NewFile
    bytes: int
    state: UploadState = UploadState.PENDING
    file: str | None = None

    def at(self, now: float) -> UploadState:
        """Its state at a time: one that is pending too long has expired."""
        over = self.state == UploadState.PENDING and now >= self.expires
        return UploadState.EXPIRED if over else self.state


@dataclass(frozen=True, slots=True)
class UploadPart:
    """One part of an upload."""

    id: str
    created: int
    blob: Blob
