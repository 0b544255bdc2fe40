"""Redaction at capture: what becomes of personal data and secrets in calls before they are kept, by project."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

from stillhouse.data.personal.span import How, Type
from stillhouse.data.redact import Redactor, parse_types
from stillhouse.data.sealing import key_of
from stillhouse.wire.words import Redact

__all__ = ["redactors_for"]


def redactors_for(how: How, types: Collection[Type], home: Path) -> Callable[[str], Redact]:
    """By project what a text becomes; the key of a project is read, or made, with its first call.

    What the first call would wait for or fail by is done here: the tagger of names is read, and the default key.
    """
    wanted = parse_types(types)

    @cache
    def of(project: str) -> Redact:
        key = b"" if how is How.REDACT else key_of(home, project)
        return Redactor(how, wanted, key).text

    of("default")("Ann")
    return of
