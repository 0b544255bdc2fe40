"""Who may do what: print, read the environment, take a gradient, inherit."""

from __future__ import annotations

import ast

from tests.structure.source import Module, every_module, modules


def calls(module: Module, name: str) -> list[int]:
    """The lines that call a function or a method of this name."""
    found = [node for node in module.nodes if isinstance(node, ast.Call)]
    return [node.lineno for node in found if name in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))]


@every_module
def test_only_the_terminal_prints(module):
    if module.part != "cli":
        printing = [node.lineno for node in module.nodes if ast.unparse(node) == "print" and isinstance(node, ast.Name)]
        assert printing == []


@every_module
def test_only_settings_reads_the_environment(module):
    if module.name != "stillhouse.settings":
        reading = [
            node.lineno
            for node in module.nodes
            if (isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"))
            or (isinstance(node, ast.ImportFrom) and node.module == "os" and names(node) & {"environ", "getenv"})
        ]
        assert reading == []


def names(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


@every_module
def test_only_the_loop_takes_gradients(module):
    if module.name != "stillhouse.training.loop":
        assert calls(module, "backward") == []


@every_module
def test_only_extras_looks_for_optional_packages(module):
    if module.name != "stillhouse.extras":
        assert calls(module, "find_spec") == []


ABSTRACT = {"Protocol", "ABC"}
CONCRETE = {
    (module.name, node.name)
    for module in modules()
    for node in module.classes
    if not ABSTRACT & {ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases}
    and module.path.stem != "errors"  # errors are a tree: that is how they are caught
}


@every_module
def test_a_class_is_abstract_or_final(module):
    origin = {name: source for source, name in module.imports}
    inheriting = [
        f"{node.name}({ast.unparse(base)})"
        for node in module.classes
        for base in node.bases
        if (origin.get(ast.unparse(base), module.name), ast.unparse(base)) in CONCRETE
    ]
    assert inheriting == [], "hold the other object and call it instead of inheriting from a concrete class"
