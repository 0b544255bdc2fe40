"""What is shipped: every file of the package, pinned dependencies, strict types where no torch is known."""

from __future__ import annotations

import re
import tomllib

from hatchling.builders.wheel import WheelBuilder

from stillhouse import extras
from tests.structure.source import PACKAGE, ROOT, declared

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def plain(requirement: str) -> str:
    """The name of a requirement, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[;<>=! ]", requirement, maxsplit=1)[0]).lower()


def test_the_wheel_holds_every_file_of_the_package():
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    there = {file.relative_to(ROOT).as_posix() for file in PACKAGE.rglob("*") if file.is_file()}
    assert {name for name in there if "__pycache__" not in name} == shipped
    assert "stillhouse/py.typed" in shipped


def test_every_dependency_is_pinned():
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    assert {plain(name) for name in wanted} <= {plain(name) for name in PINNED}
    assert PINNED["torch"] == "2.13.0"


def test_the_door_to_extras_knows_what_the_project_declares():
    project = PYPROJECT["project"]
    installed_as = {"PIL": "pillow", "yaml": "pyyaml", "llama_cpp": "llama-cpp-python"}
    for extra, packages in extras.EXTRAS.items():
        wanted = {plain(name) for name in project["optional-dependencies"][extra]}
        assert {plain(installed_as.get(name, name)) for name in packages} == wanted
    optional_on_windows = {"uvloop"}
    assert {plain(installed_as.get(name, name)) for name in extras.BASE} == {
        plain(name) for name in project["dependencies"]
    } - optional_on_windows


def test_types_are_strict_wherever_no_torch_is_known():
    joins_torch = {"recipes", "jobs"}
    strict = {path.removeprefix("stillhouse/") for path in PYPROJECT["tool"]["pyright"]["strict"]}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - set(declared()["torch"]) - joins_torch <= strict
    assert "*.py" in strict
