from __future__ import annotations

import dataclasses

import pytest

from stillhouse.chat import ChatCall, Choice, Message, TokenLogprob


def test_the_pieces_of_a_choice_are_its_text():
    pieces = tuple(TokenLogprob(token, -0.1) for token in ('{"intent": ', '"refund"', "}"))
    assert Choice(pieces).text == '{"intent": "refund"}'
    assert Choice(()).text == ""


def test_a_call_cannot_be_changed_by_whoever_handles_it():
    call = ChatCall("student", (Message("user", "where is my parcel"),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        call.model = "another"  # type: ignore[misc]
