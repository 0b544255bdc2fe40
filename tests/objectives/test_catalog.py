"""The catalogue lists every objective there is, with where it comes from."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import MISSING, fields

import pytest

from stillhouse import objectives
from stillhouse.objectives.catalog import CATALOG
from stillhouse.objectives.combine import Composable

MODULES = [
    importlib.import_module(f"{objectives.__name__}.{found.name}")
    for found in pkgutil.iter_modules(objectives.__path__)
    if found.name != "triton_kernels"  # which needs Triton, and holds no objective
]
GIVEN = {"pairs": {0: 0}}
"""What objectives cannot do without."""


def test_every_objective_is_listed():
    there = [vars(module)[name] for module in MODULES for name in module.__all__]
    made = {kind for kind in there if isinstance(kind, type) and issubclass(kind, Composable)}
    assert {kind for kind, _ in CATALOG.values()} == {kind for kind in made if not kind.__abstractmethods__}


def test_every_objective_has_a_source_and_can_be_made():
    for made, source in CATALOG.values():
        assert source
        wanted = [part.name for part in fields(made) if part.default is MISSING and part.default_factory is MISSING]
        assert made(**{name: GIVEN[name] for name in wanted}).needs


def test_every_objective_says_when_it_is_zero_when_to_choose_it_and_who_says_so():
    for name, (made, source) in CATALOG.items():
        words = made.__doc__ or ""
        assert re.search(r"[Zz]ero|ln 2", words), f"{name}: when does it cost nothing?"
        assert "hoose it" in words or "smoother than" in words, f"{name}: when should it be chosen?"
        assert source.startswith("maximum likelihood") or source in words, f"{name}: name {source}"


def test_names_are_those_of_the_classes():
    for name, (made, _) in CATALOG.items():
        assert name.replace("_", "") == made.__name__.lower()


def test_the_list_is_closed():
    with pytest.raises(TypeError):
        CATALOG["mine"] = None
