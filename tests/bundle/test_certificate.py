"""A certificate is written as JSON and read back the same."""

from __future__ import annotations

import json

import pytest

from stillhouse.bundle.certificate import CascadeStatement, Certificate, PairedStatement

CASCADE = CascadeStatement(
    risk=0.02,
    confidence=0.95,
    threshold=0.83,
    coverage=0.8,
    kept=800,
    kept_disagreement=0.01,
    kept_interval=(0.004, 0.02),
    calibration_rows=1000,
    calibration_kept=790,
    needed_rows=None,
    reason="Of 1,000 calibration rows 790 are kept.",
    method="Learn-then-Test",
)
PAIRED = PairedStatement(0.93, 0.94, -0.01, (-0.018, -0.002), discordance=0.03, rows=1000, method="Tango")


def certificate(verdict="non-inferior", paired=None) -> Certificate:
    return Certificate(
        agreement=0.99,
        interval=(0.982, 0.995),
        confidence=0.95,
        margin=0.02,
        verdict=verdict,
        test_rows=1000,
        needed_rows=None,
        reason="Student and teacher agree on 990 of 1,000 sealed rows.",
        cascade=CASCADE,
        paired=paired,
        provenance={"seed": 0, "rows": {"sealed": 1000}},
    )


@pytest.mark.parametrize("paired", [None, PAIRED])
def test_it_survives_json(paired):
    written = certificate(paired=paired)
    assert Certificate.from_json(json.loads(json.dumps(written.to_json(), allow_nan=False))) == written


def test_its_json_has_the_keys_that_users_read():
    data = certificate().to_json()
    assert data["interval"] == [0.982, 0.995]
    assert data["non_inferior"] is True
    assert data.keys() >= {"agreement", "confidence", "margin", "cascade"}
    assert data["cascade"].keys() >= {"risk", "threshold", "coverage", "kept_disagreement"}


@pytest.mark.parametrize("verdict", ["not shown", "cannot tell"])
def test_only_a_shown_student_is_non_inferior(verdict):
    assert not certificate(verdict).non_inferior
    assert certificate(verdict).to_json()["non_inferior"] is False


def test_a_torn_certificate_is_an_error():
    data = certificate().to_json()
    with pytest.raises(KeyError):
        Certificate.from_json({key: value for key, value in data.items() if key != "cascade"})
    with pytest.raises(TypeError):
        Certificate.from_json({**data, "agrement": 0.9})
