"""The package as the structure tests read it: its modules, what they import, and the declared layers."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "stillhouse"


@dataclass(frozen=True)
class Module:
    """One source file of the package."""

    path: Path

    @property
    def name(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def place(self) -> str:
        """The path as messages show it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def part(self) -> str:
        """The folder, or the module of the root, that the layers speak of; empty for the package itself."""
        inside = self.name.split(".")[1:]
        return "" if inside in ([], ["__main__"]) else inside[0]

    @property
    def is_init(self) -> bool:
        return self.path.name in ("__init__.py", "__main__.py")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree."""
        return list(ast.walk(self.tree))

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    @property
    def imports(self) -> Iterator[tuple[str, str | None]]:
        """Every import, also those inside functions: (module, name taken from it or None)."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.module or "", alias.name) for alias in node.names)

    @property
    def exported(self) -> list[str] | None:
        """The names of `__all__`, or None when there is none."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["__all__"]:
                return ast.literal_eval(node.value)
        return None


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package, by path."""
    return tuple(Module(path) for path in sorted(PACKAGE.rglob("*.py")))


def every_module(check: Callable[[Module], None]) -> Callable[[str], None]:
    """A test of each folder of the package: what a check finds wrong with its modules, one after the other."""

    @pytest.mark.parametrize("part", sorted({module.part for module in modules()}))
    def test(part: str) -> None:
        found: list[str] = []
        for module in modules():
            if module.part == part:
                try:
                    check(module)
                except AssertionError as error:
                    found.append(f"{module.place}: {error}")
        assert not found, "\n".join(found)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


@cache
def names() -> frozenset[str]:
    """The dotted names of all modules."""
    return frozenset(module.name for module in modules())


def imported_modules(module: Module) -> Iterator[str]:
    """The modules of the package that a module imports by name."""
    for source, taken in module.imports:
        inner = f"{source}.{taken}"
        if inner in names():
            yield inner
        elif source in names():
            yield source


@cache
def declared() -> dict:
    """The `[tool.stillhouse]` table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["stillhouse"]


def may_know_torch(module: Module) -> bool:
    """Whether a module lies in a folder that may import torch, or is a file that may."""
    allowed = declared()["torch"]
    return module.part in allowed or module.path.relative_to(PACKAGE).as_posix() in allowed


def layer_of(part: str) -> int | None:
    """The height of a folder or root module; None when no layer has it."""
    ranks = {name: rank for rank, layer in enumerate(declared()["layers"]) for name in layer["parts"]}
    return ranks.get(part)
