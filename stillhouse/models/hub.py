"""The model hub: whether it answers, and which commit of a model lies on this machine."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import constants, get_session, is_offline_mode, try_to_load_from_cache

__all__ = ["commit_of", "only_local"]

PATIENCE = 5.0
"""Seconds in which the hub has to say something."""


def only_local(source: str) -> bool:
    """Whether to take what lies on this machine: a folder, or, where the hub does not answer, earlier downloads.

    The hub is asked once. A download would ask five times more, each time after a longer wait, 23 seconds in all.
    """
    if Path(source).is_dir() or is_offline_mode():
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # whatever the network's library calls its errors
        return True
    return False


def commit_of(name: str) -> str | None:
    """The commit of the hub's model `name` whose configuration lies here; None where none does."""
    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None
