"""The model hub: whether it answers, which commit of a model lies on this machine, and a model's whole folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_session, is_offline_mode, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from stillhouse.errors import UsageError

__all__ = ["commit_of", "fetch", "files_of", "only_local"]

PATIENCE = 5.0
"""Seconds in which the hub has to say something."""
NEEDED = ("*.json", "*.jinja", "*.model", "*.safetensors", "*.txt")
ASIDE = ("onnx/*", "openvino/*")
"""What of a model on the hub is fetched, and what of that is not: copies of its weights for other runtimes."""
PICKLED = ("pytorch_model*.bin", "adapter_model*.bin")
"""Weights of a folder that has no safetensors."""
PARTS = "modules.json"
"""Where a folder of Sentence-Transformers names the folders inside it that belong to it."""


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


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that are its model; checkpoints, logs and other results beside them are not."""
    return [file for place in (folder, *_parts(folder)) for file in _files_in(place)]


def _parts(folder: Path) -> list[Path]:
    if not (folder / PARTS).is_file():
        return []
    listed: list[dict[str, Any]] = json.loads((folder / PARTS).read_text(encoding="utf-8"))
    named = {str(part["path"]) for part in listed} - {"", "."}
    return sorted(folder / name for name in named if (folder / name).resolve().is_relative_to(folder.resolve()))


def _files_in(place: Path) -> list[Path]:
    patterns = NEEDED if any(place.glob("*.safetensors")) else (*NEEDED, *PICKLED)
    found = {file for pattern in patterns for file in place.glob(pattern)}
    return sorted(file for file in found if file.is_file() and not file.name.startswith("."))
