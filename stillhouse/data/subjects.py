"""Subjects: whom a call or an item is about, by the name that the calling program gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillhouse.storage.records import SUBJECT

__all__ = ["NAMES", "SUBJECT", "subject_of"]

NAMES = ("user", "input_user", "safety_identifier")
"""The fields of a call by which its person is known where metadata say nothing; stored completions have the second."""


def subject_of(metadata: Mapping[str, Any] | None, call: Mapping[str, Any]) -> str | None:
    """Whom a call is about: `metadata["subject"]`, else its `user`, else its `safety_identifier`; None: not said.

    `call` is a request or a stored completion, as JSON objects.
    """
    for value in ((metadata or {}).get(SUBJECT), *(call.get(name) for name in NAMES)):
        if isinstance(value, str) and value:
            return value
    return None
