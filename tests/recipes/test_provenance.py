from __future__ import annotations

import json

import numpy as np

import stillhouse
from stillhouse.artifacts import hash_file
from stillhouse.recipes.provenance import outside, versions
from stillhouse.training.lessons import Part


def test_versions_are_of_what_decides_the_weights():
    assert versions()["stillhouse"] == stillhouse.__version__
    assert {"torch", "onnxruntime", "numpy"} <= set(versions())


def test_a_row_is_outside_when_any_field_is():
    labels = np.array([[0, 1], [-2, -2], [2, 0]])
    assert outside(Part(["a", "b", "c"], labels, labels)) == 1


def test_a_certificate_says_what_it_was_made_from_and_no_path_or_time(plain):
    told = json.loads((plain / "student" / "certificate.json").read_text())["provenance"]
    assert told["traffic_sha256"] == hash_file(plain / "calls.jsonl")
    assert told["seed"] == 0
    assert told["holdout_sha256"] is None
    assert told["splits"]["test"] == told["rows"]["sealed"]
    assert told["outside_labels"] == {"selection": 0, "calibration": 0, "test": 0}
    assert told["left_out"] == 0
    assert str(plain) not in json.dumps(told)
    run = json.loads((plain / "student" / "stillhouse.json").read_text())["run"]
    assert sorted(run.pop("trained")) == ["trained/student.json", "trained/student.safetensors"]
    assert told == run | {"rows": told["rows"]}
