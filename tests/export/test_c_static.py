"""The `static` student in C scores texts as the trained student."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from stillhouse.errors import UsageError
from stillhouse.export.c_build import Program, lines_of
from stillhouse.export.c_source import Answers
from stillhouse.export.c_static import static_source
from stillhouse.models.tokenizers import TokenizerReader, pad
from stillhouse.students.static import StaticStudent
from tests.export.c_programs import compiler, written
from tests.export.texts import HARD, at_random
from tests.models import tiny

LABELS, LONGEST = 7, 24
ANSWERS = Answers((tuple("abcdefg"),), (1.3,))


def student(width: int = 48, seed: int = 0) -> StaticStudent:
    torch.manual_seed(seed)
    made = StaticStudent(torch.randn(tiny.TOKENS, width) / width**0.5 * torch.rand(tiny.TOKENS, 1).exp(), LABELS)
    for weight in (made.weights.weight, made.norm.bias, made.head.bias):
        torch.nn.init.normal_(weight)
    torch.nn.init.normal_(made.norm.weight, 1.0, 0.3)
    return made.eval()


def weights_of(made: StaticStudent) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in made.state_dict().items()}


def source(made: StaticStudent, longest: int = LONGEST):
    return static_source(weights_of(made), made.norm.eps, json.loads(tiny.wordpiece().to_str()), longest, ANSWERS)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 30.0])
def test_it_scores_as_the_student_that_it_was_made_from(scale, tmp_path):
    made = student()
    with torch.no_grad():
        made.vectors.weight.mul_(scale)
    texts = [text.replace("\n", " ") for text in (*HARD, *at_random(100))]
    ids, mask = pad(TokenizerReader(Tokenizer.from_str(tiny.wordpiece().to_str()), LONGEST).ids(texts))
    with torch.no_grad():
        expected = made(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    with Program(written(source(made), tmp_path), compiler(), sanitize=True) as program:
        found = program.scores(lines_of(texts))
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.97


def test_extreme_weights_neither_overflow_nor_divide_by_nothing(tmp_path):
    made = student(width=3)
    with torch.no_grad():
        made.weights.weight.copy_(torch.linspace(-30, 30, tiny.TOKENS)[:, None])
        made.vectors.weight[::2] = 0
        made.hidden.weight.mul_(100)
    with Program(written(source(made), tmp_path), compiler(), sanitize=True) as program:
        assert program.scores(lines_of([*HARD, "where"])).shape == (len(HARD) + 1, LABELS)


def test_a_tokenizer_of_another_student_is_refused():
    made = weights_of(student())
    made["vectors.weight"] = made["vectors.weight"][:40]
    with pytest.raises(UsageError, match="ids are not those"):
        static_source(made, 1e-5, json.loads(tiny.wordpiece().to_str()), LONGEST, ANSWERS)


def test_what_would_overflow_is_refused():
    with pytest.raises(UsageError, match="at most 512"):
        source(student(), longest=600)
