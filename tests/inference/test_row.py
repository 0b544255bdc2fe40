from __future__ import annotations

import pytest

from stillhouse.errors import ModelFailed
from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.grammar import Grammars
from stillhouse.inference.row import End, Order, Row
from stillhouse.inference.words import Piece
from stillhouse.wire.chat_options import Drawing
from tests.inference.speakers import tokenizer

END = 2
TOKENS = ChatTokens(tokenizer(), [END], 100)


def ids(text: str) -> list[int]:
    return tokenizer()(text, add_special_tokens=False)["input_ids"]


def said(order: Order, tokens: list[int], index: int = 0) -> tuple[list, Row]:
    """What a row tells of these tokens."""
    events = []
    row = Row(order, index, TOKENS, lambda at, event: events.append((at, event)))
    for token in tokens:
        if row.is_over:
            break
        row.take(token)
    assert {at for at, _ in events} <= {index}
    return [event for _, event in events], row


def text(events: list) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def test_an_answer_ends_with_an_end_token():
    events, row = said(Order((1,), 50), [*ids("Yes, it is."), END, *ids("more")], index=3)
    assert text(events) == "Yes, it is."
    assert events[-1] == End("stop", len(ids("Yes, it is.")) + 1)
    assert row.is_over


def test_an_answer_ends_when_it_is_long_enough():
    events, _ = said(Order((1,), 2), ids("Where is my parcel?"))
    assert text(events) == "".join(TOKENS.content(token).decode() for token in ids("Where is my parcel?")[:2])
    assert events[-1] == End("length", 2)


def test_an_answer_ends_before_a_stop():
    events, _ = said(Order((1,), 50, stops=("my parcel",)), ids("Where is my parcel?"))
    assert (text(events), events[-1].reason) == ("Where is ", "stop")


def test_what_was_held_back_comes_with_the_end():
    events, _ = said(Order((1,), len(ids("Where is my")), stops=("my parcel",)), ids("Where is my"))
    assert (text(events), events[-1].reason) == ("Where is my", "length")


def test_special_tokens_write_nothing():
    events, _ = said(Order((1,), 50), [3, *ids("Yes"), 4, END])
    assert text(events) == "Yes"
    assert all(token.content for event in events if isinstance(event, Piece) for token in event.tokens)


def test_an_answer_ends_when_its_form_is_whole():
    grammar = Grammars(TOKENS.written, len(TOKENS), [END]).compile('%llguidance {}\nstart: "Yes"', "response_format")
    events, row = said(Order((1,), 50, grammar=grammar), ids("Yes") * 2)
    assert (text(events), events[-1]) == ("Yes", End("stop", len(ids("Yes"))))
    events, row = said(Order((1,), 50, grammar=grammar), ids("my"))
    assert isinstance(events[-1].error, ModelFailed)
    assert row.is_over


def test_likely_tokens_are_told_by_name():
    events = []
    row = Row(Order((1,), 5, top=2), 0, TOKENS, lambda at, event: events.append(event))
    token = ids("my")[0]
    row.take(token, -0.5, [(token, -0.5), (END, -1.0)])
    assert events[0].tokens[0].top == ((TOKENS.content(token), -0.5), (b"<|end|>", -1.0))


def test_draws_go_by_seed_and_choice_alone():
    def draws(seed: int | None, index: int) -> list[float]:
        row = Row(Order((1,), 5, Drawing(seed=seed)), index, TOKENS, lambda at, event: None)
        return [row.draw() for _ in range(3)]

    assert draws(7, 0) == draws(7, 0)
    assert draws(7, 0) != draws(7, 1)
    assert draws(-7, 0) == draws(-7, 0) != draws(7, 0)
    assert draws(None, 0) != draws(None, 0)


def test_tokens_are_counted_where_that_matters():
    assert not said(Order((1,), 9), ids("my my"))[1].counts
    counted = said(Order((1,), 9, Drawing(presence_penalty=1)), [7, 8, 7])[1].counts
    assert counted == {7: 2, 8: 1}


def test_a_row_may_be_left_or_fail():
    _, row = said(Order((1,), 9), ids("my"))
    row.leave()
    assert row.is_over
    events = []
    row = Row(Order((1,), 9), 0, TOKENS, lambda at, event: events.append(event))
    row.fail(ModelFailed("broken"))
    assert events[-1].reason == "error"
    with pytest.raises(ModelFailed, match="broken"):
        raise events[-1].error
