"""Schemes are named, read by their names, and refused where they make no sense."""

from __future__ import annotations

import pytest

from stillhouse.compression.scheme import Scheme
from stillhouse.errors import UsageError


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("int8", 8),
        ("int8+int4", 4),
        ("int8+float32", 32),
        ("int8-static", 8),
        ("int4", 4),
        ("int4+int8", 8),
        ("float16", 32),
        ("bfloat16", 32),
        ("bfloat16+int8", 8),
        ("float32", 32),
        ("float32+int8", 8),
    ],
)
def test_a_name_says_all_that_it_reads(name, tables):
    assert Scheme.named(name).name == name
    assert Scheme.named(name).tables == tables


def test_only_what_is_measured_beforehand_needs_samples():
    assert {name: Scheme.named(name).needs_samples for name in ("int8", "int8-static", "int4", "float16")} == {
        "int8": False,
        "int8-static": True,
        "int4": False,
        "float16": False,
    }


@pytest.mark.parametrize("name", ["int3", "int8+int5", "", "+int8", "int8+"])
def test_an_unknown_name_is_refused_with_those_known(name):
    with pytest.raises(UsageError, match="bfloat16, int8, int8-static, int4"):
        Scheme.named(name)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"matrices": "int2"}, "matrices is one of"),
        ({"embeddings": 5}, "embeddings is one of"),
        ({"method": "mean"}, "method is one of min-max, entropy, percentile"),
        ({"block": 33}, "block is one of 16, 32"),
        ({"percentile": 20}, "above 50"),
        ({"matrices": "bfloat16", "arithmetic": True}, "offered for float16"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        Scheme(**wrong)
