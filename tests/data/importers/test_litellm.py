from __future__ import annotations

import json

from stillhouse.data.importers.litellm import read_litellm
from tests.data.importers.reading import ANSWER, USER, lines, read

RESPONSE = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"message": ANSWER, "finish_reason": "stop"}]}
SPEND = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "hash",
    "spend": 0.01,
    "startTime": "2025-06-15T15:06:40.000000Z",
    "model": "azure/large-1",
    "model_group": "large-1",
    "messages": [USER],
    "response": RESPONSE,
    "metadata": {"status": "success"},
    "request_tags": '["desk"]',
    "end_user": "ada",
    "session_id": "s1",
}


def test_spend_logs_with_values_or_with_json_in_texts(tmp_path):
    texts = {**SPEND, "messages": json.dumps([USER]), "response": json.dumps(RESPONSE), "metadata": "{}"}
    request = {**SPEND, "messages": {}, "proxy_server_request": json.dumps({"messages": [USER], "user": "ada"})}
    for row in (SPEND, texts, request):
        [item], _ = read(read_litellm, lines(tmp_path / "a", row))
        assert (item.messages, item.answer) == ((USER,), ANSWER)
        facts = item.facts
        assert (facts.model, facts.created, facts.subject) == ("large-1", 1_750_000_000, "ada")
        assert (facts.tags, facts.conversation, item.source.teacher) == (("desk",), "s1", "large-1")


def test_payloads_of_callbacks_alone_or_wrapped_or_in_an_array(tmp_path):
    payload = {
        "id": "chatcmpl-1",
        "trace_id": "t1",
        "call_type": "completion",
        "status": "success",
        "startTime": 1_750_000_000.5,
        "model": "large-1",
        "messages": [USER],
        "response": RESPONSE,
        "end_user": "ada",
        "model_parameters": {"tools": [{"type": "function"}]},
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps([payload, {"standard_logging_object": payload}]))
    items, _ = read(read_litellm, path)
    assert [item.facts.created for item in items] == [1_750_000_000] * 2
    assert all("tools" in item.facts.metadata for item in items)


def test_calls_without_words_are_bad_and_others_counted(tmp_path):
    rows = [
        {**SPEND, "messages": {}, "response": {}},
        {**SPEND, "messages": "redacted-by-litellm"},
        {**SPEND, "call_type": "aembedding"},
        {**SPEND, "status": "failure"},
    ]
    items, bad = read(read_litellm, lines(tmp_path / "a", *rows))
    assert items == []
    assert bad.passed == {"call of type aembedding": 1, "call that failed": 1}
    assert "store_prompts_in_spend_logs" in bad.listed()
    assert "taken out by LiteLLM" in bad.listed()
