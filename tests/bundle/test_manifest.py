"""A manifest is written as JSON and read back the same; a torn or foreign one is refused in plain words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stillhouse.bundle.manifest import FORMAT, Manifest, read_certificate, read_manifest
from stillhouse.errors import BundleError
from tests.bundle.test_certificate import PAIRED, certificate
from tests.gateway.serving import MANIFEST


def test_it_survives_json(tmp_path):
    (tmp_path / "stillhouse.json").write_text(json.dumps(MANIFEST.to_json()), encoding="utf-8")
    assert read_manifest(tmp_path) == MANIFEST


def test_labels_are_counted_over_all_fields():
    assert MANIFEST.total_labels == sum(len(field.labels) for field in MANIFEST.answer.fields)


def test_one_of_before_featurizers_said_so_reads_the_end_of_long_texts():
    told = MANIFEST.to_json()
    del told["featurizer"]["keep"]
    assert Manifest.from_json(told).featurizer.keep == "end"


@pytest.mark.parametrize("format_", [FORMAT + 1, None, "1"])
def test_another_format_is_refused(format_):
    with pytest.raises(BundleError, match=f"reads format {FORMAT}"):
        Manifest.from_json(MANIFEST.to_json() | {"format": format_})


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "compression.json").write_text("{}")
    with pytest.raises(
        BundleError, match="was made by `stillhouse compress` of a model that is no classifier of texts"
    ):
        read_manifest(tmp_path / "small")
    with pytest.raises(BundleError, match=r"is not a bundle: it holds no stillhouse\.json"):
        read_manifest(tmp_path)


WHOLE = json.dumps(replace(MANIFEST).to_json())
TORN = {
    "cut": WHOLE[: len(WHOLE) // 2],
    "empty": "",
    "a list": "[]",
    "a word": '"hello"',
    "without a prompt": json.dumps({key: value for key, value in MANIFEST.to_json().items() if key != "prompt"}),
    "with an unknown key": json.dumps(MANIFEST.to_json() | {"colour": "red"}),
    "with a strange answer": json.dumps(MANIFEST.to_json() | {"answer": 7}),
}


@pytest.mark.parametrize("text", TORN.values(), ids=TORN.keys())
def test_a_torn_manifest_is_refused(text, tmp_path):
    (tmp_path / "stillhouse.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"stillhouse\.json is damaged"):
        read_manifest(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "stillhouse.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="is damaged"):
        read_manifest(tmp_path)


def test_a_certificate_is_read_from_its_bundle(tmp_path):
    written = certificate(paired=PAIRED)
    (tmp_path / "certificate.json").write_text(json.dumps(written.to_json()), encoding="utf-8")
    assert read_certificate(tmp_path) == written


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"agreement": 1}'])
def test_a_torn_certificate_is_refused(text, tmp_path):
    with pytest.raises(BundleError, match=r"holds no certificate\.json"):
        read_certificate(tmp_path)
    (tmp_path / "certificate.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"certificate\.json is damaged"):
        read_certificate(tmp_path)
