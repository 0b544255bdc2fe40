"""The model hub: whether it answers, which commit of a model lies on this machine, and a model's whole folder."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import constants, get_session, is_offline_mode, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from stillhouse.errors import UsageError

__all__ = ["commit_of", "fetch", "only_local"]

PATIENCE = 5.0
"""Seconds in which the hub has to say something."""
NEEDED = ("*.json", "*.jinja", "*.model", "*.safetensors", "*.txt")
ASIDE = ("onnx/*", "openvino/*")
"""What of a model on the hub is fetched, and what of that is not: copies of its weights for other runtimes."""


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


def fetch(name: str) -> Path:
    """The folder of the model `name`: `name` itself where it is one, else what the hub has of it, on this machine."""
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(
            snapshot_download(
                name, allow_patterns=list(NEEDED), ignore_patterns=list(ASIDE), local_files_only=only_local(name)
            )
        )
    except HFValidationError as error:
        raise UsageError(f"{name} is no folder, and no name that a model on the hub can have.") from error
    except Exception as error:  # whatever the network's library calls its errors
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{name} is neither a folder here nor a model that the hub gives: {told}") from error
