"""What `import stillhouse` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import stillhouse
from stillhouse import objectives
from stillhouse.objectives.catalog import CATALOG
from stillhouse.students.shrink import shrink
from stillhouse.training.one_call import train


def test_the_verbs_are_those_of_their_folders():
    assert stillhouse.shrink is shrink
    assert stillhouse.train is train
    assert stillhouse.objectives is objectives
    assert {"label", "shrink", "train", "objectives", "__version__"} <= set(dir(stillhouse))


def test_every_objective_of_the_catalogue_has_its_name_there():
    assert {made.__name__ for made, _ in CATALOG.values()} == set(objectives.__all__) - {"compare"}
    assert all(getattr(objectives, made.__name__) is made for made, _ in CATALOG.values())


def test_what_is_not_there_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'distill_everything'"):
        stillhouse.distill_everything  # noqa: B018


def test_importing_it_loads_nothing_heavy():
    code = "import sys, stillhouse; print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_is_named():
    code = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)
import stillhouse.extras
stillhouse.extras.find_spec = importlib.util.find_spec
import stillhouse
try:
    stillhouse.train
except stillhouse.errors.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "`stillhouse.train`, and torch is not installed" in done.stdout
