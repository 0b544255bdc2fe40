"""Harvest: what a teacher is asked for beyond what its caller wanted, and how that is taken out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from stillhouse.chat import ChatCall

__all__ = ["as_wanted", "ask_for_logprobs", "ask_for_usage"]


def ask_for_logprobs(body: bytes, alternatives: int) -> bytes:
    """A request's body that asks for log-probabilities, with so many alternatives to each token."""
    return orjson.dumps({**orjson.loads(body), "logprobs": True, "top_logprobs": alternatives})


def ask_for_usage(body: bytes) -> bytes:
    """The body of a request for a stream that ends with how many tokens it took."""
    request = orjson.loads(body)
    options: dict[str, Any] = request.get("stream_options") or {}
    return orjson.dumps({**request, "stream_options": {**options, "include_usage": True}})


def as_wanted(told: Mapping[str, Any], call: ChatCall) -> dict[str, Any]:
    """An answer, or a chunk of one, with what the call wanted to know and no more; empty when nothing is left of it."""
    choices = told.get("choices")
    if not isinstance(choices, list):
        return dict(told)
    wanted = {**told, "choices": [_choice(choice, call) for choice in cast(list[Any], choices)]}
    if call.stream and not call.include_usage and "usage" in wanted:
        is_usage_alone = wanted.pop("usage") is not None and not choices
        return {} if is_usage_alone else wanted
    return wanted


def _choice(choice: Any, call: ChatCall) -> Any:
    if not isinstance(choice, dict) or not isinstance(choice.get("logprobs"), dict):  # pyright: ignore[reportUnknownMemberType]
        return cast(object, choice)
    known = cast(dict[str, Any], choice)
    if not call.logprobs:
        return {**known, "logprobs": None}
    return {**known, "logprobs": {name: _tokens(told, call.top_logprobs) for name, told in known["logprobs"].items()}}


def _tokens(told: Any, alternatives: int) -> Any:
    """The tokens of a part of an answer, with the likeliest few alternatives to each."""
    if not isinstance(told, list):
        return told
    return [
        {
            **cast(dict[str, Any], token),
            "top_logprobs": (cast(dict[str, Any], token).get("top_logprobs") or [])[:alternatives],
        }
        if isinstance(token, dict)
        else token
        for token in cast(list[Any], told)
    ]
