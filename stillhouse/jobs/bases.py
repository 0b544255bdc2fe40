"""Bases: the models that jobs may begin from: local ones by name, tuned ones, and the ladder of small students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from stillhouse.recipes.server import read_server_file
from stillhouse.storage.tuning_records import ModelKind

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["AUTO", "FOLDER", "Bases", "Beginning", "folders"]

AUTO = "stillhouse/auto"
"""The base model that stands for whichever small student is good enough."""
FOLDER = "models"
"""The folder in the home folder whose folders are local models, under their names; tuned ones lie there as well."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a job begins: the name that its model's name is made of, and a folder or hub id (None for the ladder)."""

    name: str
    source: str | None


@final
@dataclass(frozen=True, slots=True)
class Bases:
    """The models of one home folder; `stillhouse.toml` is read anew each time."""

    home: Path

    def local(self) -> dict[str, str]:
        """Local models by name: those of `stillhouse.toml`, and Transformers folders under `models` at home."""
        found: dict[str, str] = {}
        for name, path in folders(self.home).items():
            found[name] = str(path.absolute())
        for name, source in read_server_file(self.home).models.items():
            beside = self.home / source
            found[name] = str(beside.absolute()) if beside.is_dir() else source
        return found

    async def find(self, store: Store, project: str, name: str) -> Beginning | None:
        """Where a project's job on a model begins; None when there is no such model, or none to be tuned."""
        if name == AUTO:
            return Beginning(AUTO, None)
        if name.startswith("ft:"):
            tuned = await store.tuned.model(project, name)
            if tuned is None or tuned.kind is not ModelKind.LANGUAGE:
                return None
            return Beginning(name.split(":")[1], str((self.home / tuned.folder).absolute()))
        source = self.local().get(name)
        return None if source is None else Beginning(name, source)


def folders(home: Path) -> dict[str, Path]:
    """The Transformers folders under `models` in a home folder, by their names."""
    return {path.parent.name: path.parent for path in sorted((home / FOLDER).glob("*/config.json"))}
