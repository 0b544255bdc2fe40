from __future__ import annotations

import json

from stillhouse.data.importers.otlp import read_otlp
from tests.data.importers.reading import ANSWER, USER, lines, read


def attributes(**given):
    return [{"key": key.replace("__", "."), "value": value(each)} for key, each in given.items()]


def value(each):
    if isinstance(each, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": value(inner)} for key, inner in each.items()]}}
    if isinstance(each, list):
        return {"arrayValue": {"values": [value(inner) for inner in each]}}
    return {"intValue": str(each)} if isinstance(each, int) else {"stringValue": each}


KNOWN = {
    "gen_ai__operation__name": "chat",
    "gen_ai__provider__name": "openai",
    "gen_ai__request__model": "large",
    "gen_ai__response__model": "large-1",
    "gen_ai__conversation__id": "s1",
    "user__id": "ada",
}


def span(events=(), **given):
    made = {
        "traceId": "t1",
        "spanId": "s1",
        "name": "chat large",
        "startTimeUnixNano": "1750000000000000000",
        "attributes": attributes(**KNOWN, **given),
        "events": list(events),
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [made]}]}]}


def logs(*records):
    return {
        "resourceLogs": [
            {"scopeLogs": [{"logRecords": [{"traceId": "t1", "spanId": "s1", **each} for each in records]}]}
        ]
    }


def check(path):
    [item], bad = read(read_otlp, path)
    assert not bad.count, bad.listed()
    facts = item.facts
    assert (facts.model, facts.created, facts.conversation, facts.subject) == ("large-1", 1_750_000_000, "s1", "ada")
    return item


PARTS = [{"role": "user", "parts": [{"type": "text", "content": "where is it"}]}]
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "order"}], "finish_reason": "stop"}]


def test_messages_as_attributes_in_json_or_structured(tmp_path):
    for asked, said in ((json.dumps(PARTS), json.dumps(SAID)), (PARTS, SAID)):
        given = {"gen_ai__input__messages": asked, "gen_ai__output__messages": said}
        item = check(
            lines(tmp_path / "a", span(**given, gen_ai__system_instructions='[{"type":"text","content":"Sort."}]'))
        )
        assert item.messages == ({"role": "system", "content": "Sort."}, USER)
        assert item.answer == ANSWER


def test_tool_calls_and_their_replies_in_parts(tmp_path):
    asked = [
        *PARTS,
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"id": 7}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "lost"}]},
    ]
    item = check(
        lines(
            tmp_path / "a", span(gen_ai__input__messages=json.dumps(asked), gen_ai__output__messages=json.dumps(SAID))
        )
    )
    assert item.messages[1]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"id":7}'}
    assert item.messages[2] == {"role": "tool", "content": "lost", "tool_call_id": "c1"}


def test_messages_as_events_of_the_span(tmp_path):
    events = [
        {"name": "gen_ai.user.message", "attributes": attributes(content="where is it", gen_ai__system="openai")},
        {"name": "gen_ai.choice", "attributes": attributes(message=json.dumps(ANSWER), finish_reason="stop", index=0)},
    ]
    item = check(lines(tmp_path / "a", span(events)))
    assert (item.messages, item.answer) == ((USER,), ANSWER)
    details = {
        "name": "gen_ai.client.inference.operation.details",
        "attributes": attributes(gen_ai__input__messages=json.dumps(PARTS), gen_ai__output__messages=json.dumps(SAID)),
    }
    assert check(lines(tmp_path / "a", span([details]))).answer == ANSWER


def test_messages_spread_over_attributes(tmp_path):
    given = {"gen_ai__prompt__0__role": "user", "gen_ai__prompt__0__content": "where is it"}
    item = check(lines(tmp_path / "a", span(**given, gen_ai__completion__0__content="order")))
    assert (item.messages, item.answer) == ((USER,), ANSWER)


def test_messages_in_logs_meet_their_span_in_any_order(tmp_path):
    asked = {
        "eventName": "gen_ai.user.message",
        "timeUnixNano": "1750000000000000000",
        "body": value({"content": "where is it"}),
    }
    said = {"eventName": "gen_ai.choice", "body": value({"index": 0, "finish_reason": "stop", "message": ANSWER})}
    older = {"attributes": attributes(event__name="gen_ai.user.message"), "body": value({"content": "where is it"})}
    for first in (asked, older):
        for rows in ((span(), logs(first, said)), (logs(first), logs(said), span())):
            item = check(lines(tmp_path / "a", *rows))
            assert (item.messages, item.answer) == ((USER,), ANSWER)


def test_spans_that_are_no_calls_are_counted_and_other_json_is_bad(tmp_path):
    other = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "GET /", "attributes": []}]}]}]}
    items, bad = read(read_otlp, lines(tmp_path / "a", other, span(), {"spans": []}))
    assert items == []
    assert bad.passed == {"span that is no call of a model": 1, "call whose messages were not recorded": 1}
    assert "neither resourceSpans nor resourceLogs" in bad.listed()


def test_one_odd_call_leaves_the_others_of_its_line(tmp_path):
    odd = [{"role": "nobody", "parts": [{"type": "text", "content": "where is it"}]}]
    given = {"gen_ai__output__messages": json.dumps(SAID)}
    sound, broken = (span(gen_ai__input__messages=json.dumps(asked), **given) for asked in (PARTS, odd))
    spans = [each["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for each in (sound, broken, sound)]
    together = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    items, bad = read(read_otlp, lines(tmp_path / "a", together, sound))
    assert len(items) == 3
    assert bad.count == 1


def test_odd_messages_in_logs_are_a_bad_row(tmp_path):
    told = {"eventName": "gen_ai.user.message", "body": value({"content": "where is it", "role": "nobody"})}
    choice = {"eventName": "gen_ai.choice", "body": value({"message": {"content": "order"}})}
    items, bad = read(read_otlp, lines(tmp_path / "a", logs(told, choice)))
    assert (items, bad.count) == ([], 1)
