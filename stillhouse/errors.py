"""Every error Stillhouse raises on purpose.

StillhouseError
├── UsageError            the command or its options are wrong           (exit code 2)
│   └── MissingExtra      an optional package is not installed
├── TrafficError          the traffic cannot be read or used             (exit code 1)
│   ├── BadRow            one row of one file, named by file and line
│   └── NotATask          the answers are not labels or enumerated fields
├── DataError             a dataset, or an item of one, is not what it should be
├── TermsForbid           the terms of a teacher forbid what is to be done with its answers
├── BundleError           a bundle is missing, torn or of another version
├── SignalError           a teacher's signals cannot be written, are damaged, or belong to something else
├── StorageError          the database cannot be opened, read or written
│   ├── StorageBusy       too much waits to be written already
│   ├── StorageFull       the disk has no room for it
│   ├── OnHold            a legal hold forbids to delete or change it
│   └── VaultLocked       what is encrypted cannot be read, nor written, without its master key
├── ExportMismatch        the exported student does not answer as the trained one
├── ModelFailed           a model that is served here broke down while it answered
├── CannotCertify         too few rows to say anything
├── GraderError           a grade cannot be given
│   ├── TemplateError     a template is malformed, or names what is not there
│   └── FormulaError      a formula cannot be read or computed
└── TeacherError          the teacher did not answer
    └── TeacherUnavailable  it could not be reached, or kept failing
"""

from __future__ import annotations

__all__ = [
    "BadRow",
    "BundleError",
    "CannotCertify",
    "DataError",
    "ExportMismatch",
    "FormulaError",
    "GraderError",
    "MissingExtra",
    "ModelFailed",
    "NotATask",
    "OnHold",
    "SignalError",
    "StillhouseError",
    "StorageBusy",
    "StorageError",
    "StorageFull",
    "TeacherError",
    "TeacherUnavailable",
    "TemplateError",
    "TermsForbid",
    "TrafficError",
    "UsageError",
    "VaultLocked",
]


class StillhouseError(Exception):
    """Says what is wrong, what was seen and what to do; shown to users without a traceback."""

    exit_code = 1


class UsageError(StillhouseError):
    """The command or its options are wrong."""

    exit_code = 2


class MissingExtra(UsageError):
    """An optional package is not installed."""


class TrafficError(StillhouseError):
    """The traffic cannot be read or used."""


class BadRow(TrafficError):
    """One row cannot be used; line 0 is a file that has no lines."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}, line {line}: {reason}" if line else f"{file}: {reason}")
        self.file, self.line, self.reason = file, line, reason


class NotATask(TrafficError):
    """The answers are neither labels nor JSON objects of enumerated fields."""


class DataError(StillhouseError):
    """A dataset, or an item of one, is not what it should be."""


class TermsForbid(StillhouseError):
    """The terms of a teacher forbid what is to be done with its answers."""


class BundleError(StillhouseError):
    """A bundle is missing, torn or of another version."""


class SignalError(StillhouseError):
    """A teacher's signals cannot be written, are damaged, or belong to another teacher, dataset or tokenizer."""


class StorageError(StillhouseError):
    """The database cannot be opened, read or written."""


class StorageBusy(StorageError):
    """Too much waits to be written already; nothing of what was asked has been kept."""


class StorageFull(StorageError):
    """The disk has no room for it; nothing of what was asked has been kept."""


class OnHold(StorageError):
    """A legal hold forbids to delete or change it; nothing of what was asked has been done."""


class VaultLocked(StorageError):
    """The master key is missing or another one: what is encrypted cannot be read, nor written."""


class ExportMismatch(StillhouseError):
    """The exported student does not answer as the trained one."""


class ModelFailed(StillhouseError):
    """A model that is served here broke down while it answered."""


class CannotCertify(StillhouseError):
    """Too few rows to say anything."""


class GraderError(StillhouseError):
    """A grade cannot be given, which is not the same as a grade of zero."""


class TemplateError(GraderError):
    """A template is malformed, or names what is not there."""


class FormulaError(GraderError):
    """A formula cannot be read or computed."""


class TeacherError(StillhouseError):
    """The teacher did not answer; `status` is its HTTP status where there was one."""

    def __init__(self, message: str, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.status, self.body = status, body
        self.retry_after: float | None = None
        """Seconds for which the teacher asked to be left alone, where it said so."""


class TeacherUnavailable(TeacherError):
    """The teacher could not be reached, or kept failing."""
