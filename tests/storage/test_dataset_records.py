"""Records of datasets: versions lie in folders that no other version has, whatever projects are called."""

from __future__ import annotations

import pytest

from stillhouse.storage.dataset_records import version_folder


def test_a_plain_project_names_its_folder():
    assert version_folder("default", ("support", 3)) == "datasets/default/support/3"


@pytest.mark.parametrize("project", ["../..", "a/b", "", ".", "ü", "a" * 100, "con:", "\udce4"])
def test_no_project_leads_out_of_its_folder(project):
    parts = version_folder(project, ("support", 3)).split("/")
    assert parts[0] == "datasets"
    assert parts[2:] == ["support", "3"]
    assert parts[1].startswith(".")
    assert len(parts[1]) == 33


def test_two_projects_have_two_folders():
    names = ["default", "../..", "a/b", "", "a_b", ".", "Default"]
    assert len({version_folder(name, ("support", 1)) for name in names}) == len(names)
