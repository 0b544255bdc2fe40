"""The recipes that come with Stillhouse: their names, what each is for, and their text to copy."""

from __future__ import annotations

import difflib
from importlib.resources import files

from stillhouse.errors import UsageError

__all__ = ["recipe_names", "recipe_text", "summary_of"]


def recipe_names() -> list[str]:
    """The names of all recipes, in the order of the alphabet."""
    folder = files("stillhouse.recipes") / "library"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The text of one recipe; refuses an unknown name with the nearest one."""
    names = recipe_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(names)}."
        raise UsageError(f"There is no recipe {name!r}. {hint}")
    return (files("stillhouse.recipes") / "library" / f"{name}.toml").read_text(encoding="utf-8")


def summary_of(name: str) -> str:
    """What a recipe is for: its first line."""
    return recipe_text(name).split("\n", 1)[0].removeprefix("#").strip()
