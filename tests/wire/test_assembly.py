"""Chunks put together: what a stream told piece by piece, as it would have been told at once."""

from __future__ import annotations

from stillhouse.wire.assembly import Assembly


def chunk(delta: dict, index: int = 0, reason: str | None = None, logprobs: dict | None = None) -> dict:
    choice = {"index": index, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
    return {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m-1", "choices": [choice]}


def assembled(*chunks: dict) -> dict:
    assembly = Assembly()
    for each in chunks:
        assembly.add(each)
    assert assembly.is_whole
    return assembly.completion()


def test_words_reason_and_usage():
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    whole = assembled(
        {**chunk({"role": "assistant", "content": "", "refusal": None}), "usage": None},
        {**chunk({"content": "Hello"}), "system_fingerprint": "fp"},
        chunk({"content": " there"}),
        chunk({}, reason="stop"),
        {"id": "c", "choices": [], "usage": usage},
    )
    assert whole == {
        "id": "c",
        "object": "chat.completion",
        "created": 5,
        "model": "m-1",
        "system_fingerprint": "fp",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }


def test_several_choices_come_mixed():
    whole = assembled(
        chunk({"role": "assistant", "content": "b"}, index=1),
        chunk({"role": "assistant", "content": "a"}, index=0),
        chunk({"content": "b"}, index=1, reason="length"),
        chunk({"content": "a"}, index=0, reason="stop"),
    )
    assert [(each["message"]["content"], each["finish_reason"]) for each in whole["choices"]] == [
        ("aa", "stop"),
        ("bb", "length"),
    ]


def begun(index: int, name: str, arguments: str) -> dict:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function}


def test_tool_calls_come_in_fragments():
    whole = assembled(
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [begun(0, "f", "")]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [begun(1, "g", "{}")]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk({}, reason="tool_calls"),
    )
    message = whole["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_logprobs_and_a_refusal_are_joined():
    def told(token: str) -> dict:
        return {"content": None, "refusal": [{"token": token, "logprob": -0.5}]}

    whole = assembled(
        chunk({"role": "assistant", "content": "", "refusal": ""}, logprobs={"content": [], "refusal": None}),
        chunk({"refusal": "I "}, logprobs=told("I ")),
        chunk({"refusal": "won't."}, logprobs=told("won't.")),
        chunk({}, reason="stop"),
    )
    choice = whole["choices"][0]
    assert choice["message"]["refusal"] == "I won't."
    assert [each["token"] for each in choice["logprobs"]["refusal"]] == ["I ", "won't."]


def test_an_old_function_call_and_words_that_nobody_knows_are_kept():
    whole = assembled(
        chunk({"role": "assistant", "function_call": {"name": "f", "arguments": "{"}, "reasoning_content": "So "}),
        chunk({"function_call": {"arguments": "}"}, "reasoning_content": "it is."}),
        chunk({}, reason="function_call"),
    )
    message = whole["choices"][0]["message"]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert message["reasoning_content"] == "So it is."


def test_what_has_not_ended_is_not_whole():
    assembly = Assembly()
    assert not assembly.is_whole
    assembly.add(chunk({"content": "a"}, reason="stop"))
    assembly.add(chunk({"content": "b"}, index=1))
    assert not assembly.is_whole
