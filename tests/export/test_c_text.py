"""A bundle's student is taken apart into what C needs, or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.export.c_text import text_source
from tests.export.c_subjects import text_subject
from tests.export.students import TWO


@pytest.mark.parametrize("family", ["words", "static"])
def test_it_has_the_students_labels_and_temperatures(family, tmp_path):
    student = text_subject(tmp_path / "bundle", family, TWO)
    made = text_source(student)
    assert made.answers.labels == student.labels
    assert made.answers.temperatures == student.manifest.temperatures
    assert f"{family}.c" in made.parts


def test_what_has_no_c_is_refused(tmp_path):
    encoder = replace(text_subject(tmp_path / "encoder", "words", TWO), family="encoder")
    with pytest.raises(UsageError, match="only words and static"):
        text_source(encoder)
    static = text_subject(tmp_path / "static", "static", TWO)
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        text_source(replace(static, tokenizer=None))
    featurizer = replace(static.manifest.featurizer, keep="start")
    with pytest.raises(UsageError, match="reads the start of long texts"):
        text_source(replace(static, manifest=replace(static.manifest, featurizer=featurizer)))
    with torch.no_grad():
        static.module.get_parameter("head.bias")[0] = float("nan")
    with pytest.raises(UsageError, match=r"head\.bias"):
        text_source(static)
