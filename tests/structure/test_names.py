"""Every module says what it is for, has a test, lists what it exports, and is called by its name."""

from __future__ import annotations

import ast
import re

from tests.structure.source import PACKAGE, ROOT, every_module, modules, names

FORBIDDEN = {"util", "utils", "common", "helper", "helpers", "base", "manager", "misc"}

BY_NAME = {module.name: module for module in modules()}


@every_module
def test_a_module_says_in_one_sentence_what_it_is_for(module):
    first = (ast.get_docstring(module.tree) or "").split("\n", 1)[0]
    assert first, "begin with a docstring"
    assert first.endswith("."), f"the first line is a sentence and ends with a period: {first!r}"
    assert len(first.split()) >= 2, f"say more than {first!r}"


@every_module
def test_a_module_is_mirrored_by_a_test(module):
    if not module.is_init:
        inside = module.path.relative_to(PACKAGE)
        mirror = ROOT / "tests" / inside.with_name(f"test_{inside.name}")
        assert mirror.is_file(), f"write {mirror.relative_to(ROOT)}"


@every_module
def test_a_module_lists_what_it_exports(module):
    if module.is_init and module.exported is None:
        return
    assert module.exported is not None, "add __all__"
    assert len(module.exported) == len(set(module.exported))
    assert set(module.exported) <= defined(module.tree), "__all__ names what is not there"


def defined(tree: ast.Module) -> set[str]:
    """The names a module has at its top."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


@every_module
def test_a_module_takes_only_what_others_export(module):
    taken = [(source, name) for source, name in module.imports if name is not None and source in names()]
    hidden = [f"{source}.{name}" for source, name in taken if name not in offered(source)]
    assert hidden == [], "add to its __all__, or take something else"


def offered(source: str) -> set[str]:
    """What a module lets others take: its `__all__`, or for a package without one whatever it defines."""
    owner = BY_NAME[source]
    modules_inside = {name.removeprefix(f"{source}.") for name in names() if name.startswith(f"{source}.")}
    return modules_inside | (defined(owner.tree) if owner.exported is None else set(owner.exported))


@every_module
def test_names_say_something(module):
    words = {word for part in module.name.split(".") for word in part.split("_")}
    for node in module.classes:
        words |= {word.lower() for word in re.findall(r"[A-Z][a-z]+", node.name)}
    assert words & FORBIDDEN == set()
