from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.grammar import Grammars
from stillhouse.inference.row import Order, Row
from stillhouse.inference.sampling import choose, nucleus
from stillhouse.wire.chat_options import Drawing
from tests.inference.speakers import tokenizer

END = 300
TOKENS = ChatTokens(tokenizer(), [END], 100)
LOGITS = torch.tensor([0.0, 2.0, 1.0, -1.0, 0.5])


def row(top: int | None = None, grammar=None, **drawing) -> Row:
    events = []
    made = Row(
        Order((1,), 10**9, Drawing(**drawing), (), grammar, top), 0, TOKENS, lambda at, event: events.append(event)
    )
    made.events = events  # type: ignore[attr-defined]
    return made


def chosen(one: Row, logits: torch.Tensor = LOGITS) -> int:
    return choose(logits.clone().unsqueeze(0), [one])[0]


def frequencies(times: int = 4000, **drawing) -> np.ndarray:
    """How often each token is drawn."""
    one = row(seed=0, **drawing)
    found = Counter(chosen(one) for _ in range(times))
    return np.array([found[token] / times for token in range(len(LOGITS))])


def test_at_temperature_0_the_likeliest_is_taken():
    assert chosen(row(temperature=0)) == 1


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_they_are_likely(heat):
    expected = (LOGITS / heat).softmax(-1).numpy()
    assert frequencies(temperature=heat) == pytest.approx(expected, abs=0.03)


def test_top_p_keeps_the_fewest_likely_tokens_that_reach_it():
    likely = LOGITS.double().softmax(-1)  # 0.073, 0.541, 0.199, 0.027, 0.12 or so
    kept = nucleus(likely.repeat(4, 1), torch.tensor([0.0, 0.5, 0.7, 0.999]).double())
    assert (kept > 0).int().tolist() == [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert frequencies(top_p=0.7)[[0, 3, 4]].sum() == 0
    assert frequencies(top_p=0, times=50)[1] == 1


def test_top_p_looks_further_where_many_tokens_are_alike():
    kept = nucleus(torch.full((1, 5000), 1 / 5000).double(), torch.tensor([0.5]).double())
    assert (kept > 0).sum() == pytest.approx(2500, abs=1)


def test_penalties_lower_what_has_been_written():
    one = row(temperature=0, presence_penalty=0.4, frequency_penalty=0.35)
    # 2.0 - 0.4 - 0.35 n falls below 1.0 once n is 2
    assert [chosen(one) for _ in range(4)] == [1, 1, 2, 1]


def test_biases_raise_and_ban():
    assert chosen(row(temperature=0, logit_bias={3: 100})) == 3
    assert frequencies(times=200, logit_bias={1: -100})[1] == 0


def test_a_grammar_allows_only_its_tokens():
    grammar = Grammars(TOKENS.written, len(TOKENS), [END]).compile('%llguidance {}\nstart: "Yes"', "response_format")
    one = row(temperature=2, grammar=grammar)
    said = []
    while not one.is_over:
        said.append(chosen(one, torch.zeros(len(TOKENS))))
    assert b"".join(TOKENS.content(token) for token in said) == b"Yes"


def test_logprobs_are_the_models_own_whatever_bends_its_choice():
    one = row(top=2, temperature=0, logit_bias={3: 100})
    assert chosen(one, torch.cat([LOGITS, torch.zeros(100)])) == 3
    one = row(top=2, temperature=0, logit_bias={70: 100})
    logits = torch.cat([LOGITS, torch.zeros(100)])
    assert chosen(one, logits) == 70
    token = one.events[0].tokens[0]  # type: ignore[attr-defined]
    expected = logits.log_softmax(-1)
    assert token.logprob == pytest.approx(float(expected[70]), abs=1e-5)
    assert [value for _, value in token.top] == pytest.approx([float(expected[1]), float(expected[2])], abs=1e-5)


def test_no_alternatives_are_told_where_none_are_wanted():
    one = row(top=0, temperature=0)
    chosen(one, torch.cat([torch.zeros(80), LOGITS]))
    token = one.events[0].tokens[0]  # type: ignore[attr-defined]
    assert token.top == ()
    assert math.isfinite(token.logprob)


def test_a_row_draws_the_same_whoever_is_beside_it():
    alone = [chosen(one) for one in [row(seed=3)] for _ in range(20)]
    one, others = row(seed=3), [row(seed=4, temperature=2), row(temperature=0), row(seed=5, top_p=0.3)]
    together = [choose(LOGITS.repeat(4, 1), [others[0], one, *others[1:]])[1] for _ in range(20)]
    assert together == alone
