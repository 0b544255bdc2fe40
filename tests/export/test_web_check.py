"""An exported folder is asked in Node; what cannot be asked is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export.web import export_web
from stillhouse.export.web_check import ask_in_node, no_node, verify_web
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export.students import TWO, make_bundle
from tests.models import kinds


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle") / "bundle", "words", TWO)


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory, npm_home):
    place = tmp_path_factory.mktemp("words")
    export_web(open_student(bundle), place / "web", npm_home)
    return place / "web"


def test_a_bundle_is_compared_with_what_is_served(bundle, folder):
    samples = draw_samples(open_student(bundle))
    parity = verify_web(open_student(bundle), folder, samples)
    assert parity.rows == samples.rows
    assert parity.agreement == 1
    assert parity.largest_difference < 1e-5
    other = replace(samples, texts=samples.texts[::-1])
    assert verify_web(open_student(bundle), folder, other).agreement < 1


def test_images_are_compared_by_their_pixel_values(npm_home, tmp_path):
    source = tmp_path / "source"
    kinds.make("resnet-basic").save_pretrained(source)
    subject = open_student(source)
    export_web(subject, tmp_path / "web", npm_home)
    parity = verify_web(subject, tmp_path / "web", draw_samples(subject))
    assert parity.agreement == 1
    assert parity.largest_difference < 1e-4


def test_ids_are_told_alone(folder):
    assert ask_in_node(folder, {"read": [""]}) == [[0]]


def test_a_folder_that_does_not_run_is_told(folder, tmp_path):
    with pytest.raises(ExportMismatch, match="does not run in Node"):
        ask_in_node(tmp_path, {"texts": ["a"]})


def test_without_node_it_says_so(folder, tmp_path, monkeypatch):
    assert no_node() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Install Node" in str(no_node())
    with pytest.raises(UsageError, match="Install Node"):
        ask_in_node(folder, {"texts": ["a"]})
