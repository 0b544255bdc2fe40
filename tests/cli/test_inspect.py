"""`stillhouse inspect`: what a bundle promises, for people and for programs."""

from __future__ import annotations

import json

from tests.recipes.runs import run


def test_programs_get_manifest_and_certificate(plain):
    printed = run("inspect", plain / "student", "--json").json
    assert printed["manifest"]["student"] == "words"
    assert printed["certificate"] == json.loads((plain / "student" / "certificate.json").read_text())


def test_people_get_a_page(plain):
    done = run("inspect", plain / "student")
    assert done.code == 0
    assert "billing" in done.out
    assert "words" in done.out


def test_a_folder_that_is_no_bundle_is_named(tmp_path):
    done = run("inspect", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "is not a bundle" in done.err
