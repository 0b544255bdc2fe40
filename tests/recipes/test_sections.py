"""The sections of a recipe: each refuses by itself what cannot work, and says what is asked for in one word."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.sections import (
    DataSection,
    SourceSection,
    StudentSection,
    TaskName,
    TeacherSection,
    TrainingSection,
    check_least,
    check_seed,
    check_word,
)


def test_language_models_write():
    assert {task.value for task in TaskName if task.writes} == {"chat", "preference", "rationale"}


def test_teachers_are_one_or_several_with_a_weight_each():
    assert TeacherSection(model="a").names == ("a",)
    assert TeacherSection(models=("a", "b"), weights=(1.0, 2.0)).names == ("a", "b")
    assert TeacherSection().names == ()
    for wrong, message in (
        ({"model": "a", "models": ("b",)}, "both `model` and `models`"),
        ({"models": ("a", "b"), "weights": (1.0,)}, "2 teachers and 1 weights"),
        ({"models": ("a",), "weights": (0.0,)}, "must be above 0"),
        ({"precision": "int3"}, "none of float32, bf16, int8, int4"),
        ({"keep": "hiden:0"}, "hiden:0"),
    ):
        with pytest.raises(UsageError, match=message):
            TeacherSection(**wrong)


def test_a_student_is_cut_where_a_size_is_said_or_weights_are_new():
    assert not StudentSection(model="a", lora=8).cut
    assert StudentSection(layers=3).cut
    assert StudentSection(fresh=True).cut
    with pytest.raises(UsageError, match="layer_decay must be above 0"):
        StudentSection(layer_decay=0)


def test_numbers_and_words_that_make_no_sense_are_refused():
    rows = Path("rows.jsonl")
    for make, message in (
        (lambda: DataSection(train=rows, tokens=1), "tokens must be 2 or more; it is 1"),
        (lambda: DataSection(train=rows, pooling="maen"), "Did you mean 'mean'"),
        (lambda: DataSection(train=rows, rows=0), "rows must be 1 or more"),
        (lambda: SourceSection(share=1.5), "share must be between 0 and 1"),
        (lambda: SourceSection(peers=1), "peers must be 2 or more"),
        (lambda: TrainingSection(save_memory=("shrad",)), "Did you mean 'shard'"),
        (lambda: check_word("shape", "x", ("cosine",)), "shape = 'x' is none of cosine"),
        (lambda: check_least(1, {"epochs": 0}), "epochs must be 1 or more; it is 0"),
        (lambda: check_seed(-1), "seed must be 0 or more"),
        (lambda: check_seed(2**32), r"under 2\*\*32; it is 4294967296"),
        (lambda: TrainingSection(rate=0.0), "rate must be above 0"),
        (lambda: TrainingSection(rate=math.nan), "rate must be above 0"),
    ):
        with pytest.raises(UsageError, match=message):
            make()
