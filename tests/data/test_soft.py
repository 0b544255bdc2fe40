from __future__ import annotations

import math

import numpy as np
import pytest

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.chat import TokenLogprob
from stillhouse.data.soft import soft_labels

PLAIN = AnswerForm((Field(None, ("refund", "card_late", "card_lost", "card")),), (0,))
JSON = AnswerForm(
    (Field("intent", ('"refund"', '"order"')), Field("level", ("1", "10"))),
    ('{"intent": ', 0, ', "level": ', 1, "}"),
)


def token(text: str, share: float, **others: float) -> TokenLogprob:
    return TokenLogprob(text, math.log(share), tuple((other, math.log(part)) for other, part in others.items()))


def test_alternatives_share_their_probability_among_the_labels_they_begin():
    (scores,) = soft_labels(PLAIN, "refund", [token("ref", 0.6, ref=0.6, card=0.3), token("und", 1.0)]) or ()
    np.testing.assert_allclose(scores, [0.625, 0.125, 0.125, 0.125], atol=1e-6)
    assert scores.dtype == np.float32


def test_labels_with_a_common_beginning_are_told_apart_further_on():
    tokens = [token("card", 0.9, refund=0.1), token("_l", 1.0), token("ate", 0.75, ost=0.25)]
    (scores,) = soft_labels(PLAIN, "card_late", tokens) or ()
    np.testing.assert_allclose(scores, [0.1, 0.675, 0.225, 0.0], atol=1e-6)


def test_each_field_of_a_json_answer_has_its_own():
    tokens = [
        TokenLogprob('{"intent":', 0.0),
        TokenLogprob(' "re', math.log(0.8), ((' "re', math.log(0.8)), (' "order', math.log(0.2)))),
        TokenLogprob('fund", "', 0.0),
        TokenLogprob('level": ', 0.0),
        TokenLogprob("10", math.log(0.9), (("1", math.log(0.1)),)),
        TokenLogprob("}", 0.0),
    ]
    intent, level = soft_labels(JSON, '{"intent": "refund", "level": 10}', tokens) or ((), ())
    np.testing.assert_allclose(intent, [0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(level, [0.05, 0.95], atol=1e-6)


@pytest.mark.parametrize(
    "tokens",
    [
        [token("other", 0.9, card=0.1)],
        [token("refund", 0.9)],
        [token("refund", 0.3, unknown=0.7)],
    ],
    ids=["tokens of another answer", "no alternatives", "most lies on no label"],
)
def test_rows_that_tell_too_little_have_none(tokens):
    assert soft_labels(PLAIN, "refund", tokens) is None
