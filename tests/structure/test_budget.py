"""The size of things: files, functions, parameters, fields and branches that fit one look."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.structure.source import ROOT, every_module

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 7
FIELDS = 12

RECORDS = {
    "Certificate": "a written statement: certificate.json is read by people and holds all they may ask",
    "CascadeStatement": "a part of that statement",
    "Manifest": "the schema of stillhouse.json, one field per key",
}
"""Dataclasses that mirror a file and are configured by nobody, so they may have more fields, with the reason."""


@every_module
def test_a_file_fits_a_sitting(module):
    assert len(module.text.splitlines()) <= FILE_LINES


@every_module
def test_a_function_fits_a_screen(module):
    lengths = {function.name: lines(module, function) for function in module.functions}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}


def lines(module, function) -> int:
    """How long a function is; the options of a verb are declared in its head and do not count."""
    first = function.body[0] if is_verb(module, function) else function
    return function.end_lineno - first.lineno + 1


@every_module
def test_a_function_takes_few_parameters(module):
    counts = {function.name: parameters(function) for function in module.functions if not is_verb(module, function)}
    assert {name: count for name, count in counts.items() if count > PARAMETERS} == {}


def parameters(function) -> int:
    """How many things a caller may pass, without self and cls."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return sum(1 for argument in every if argument is not None and argument.arg not in ("self", "cls"))


def is_verb(module, function) -> bool:
    """Whether a function is a verb of the terminal, whose parameters are its options."""
    named = function.name == module.path.stem
    in_a_group = any(getattr(getattr(each, "func", None), "attr", "") == "command" for each in function.decorator_list)
    return module.part == "cli" and (named or in_a_group)


@every_module
def test_nothing_swallows_keyword_arguments(module):
    passing = [function.name for function in module.functions if function.args.kwarg is not None]
    assert passing == [], "name the parameters: `**kwargs` hides them from readers and checkers"


@every_module
def test_a_dataclass_has_the_fields_of_one_thing(module):
    counts = {node.name: fields(node) for node in module.classes if is_dataclass(node) and node.name not in RECORDS}
    assert {name: count for name, count in counts.items() if count > FIELDS} == {}


def is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def fields(node: ast.ClassDef) -> int:
    return sum(isinstance(statement, ast.AnnAssign) for statement in node.body)


def test_no_function_branches_more_than_ten_ways():
    command = [sys.executable, "-m", "ruff", "check", "--select", "C901", "--ignore-noqa", "--no-cache", "stillhouse"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
