from __future__ import annotations

import json

from stillhouse.data.importers.langfuse import read_langfuse
from tests.data.importers.reading import ANSWER, USER, lines, read

OBSERVATION = {
    "id": "obs-1",
    "traceId": "tr-1",
    "type": "GENERATION",
    "name": "answer",
    "startTime": "2025-06-15T15:06:40.000Z",
    "endTime": "2025-06-15T15:06:41.000Z",
    "model": "large-1",
    "input": {"messages": [USER], "tools": [{"type": "function"}]},
    "output": ANSWER,
    "metadata": {"team": "desk", "subject": "ada"},
    "level": "DEFAULT",
    "sessionId": "s1",
    "usageDetails": {"input": 10, "output": 1},
}


def check(item):
    assert (item.messages, item.answer) == ((USER,), ANSWER)
    assert (item.facts.model, item.facts.created, item.facts.conversation) == ("large-1", 1_750_000_000, "s1")


def test_generations_as_json_lines_a_page_or_within_their_trace(tmp_path):
    [item], _ = read(read_langfuse, lines(tmp_path / "a", OBSERVATION))
    check(item)
    assert (item.facts.subject, item.facts.metadata["team"], item.facts.metadata["trace"]) == ("ada", "desk", "tr-1")
    assert "tools" in item.facts.metadata
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"data": [OBSERVATION], "meta": {"cursor": None}}, indent=2))
    check(read(read_langfuse, page)[0][0])
    plain = {key: value for key, value in OBSERVATION.items() if key != "sessionId"}
    span = {**plain, "type": "SPAN"}
    trace = {"id": "tr-1", "sessionId": "s1", "userId": "grace", "tags": ["x"], "observations": [span, plain]}
    apart = {key: value for key, value in trace.items() if key != "observations"}
    for row in (trace, {"trace": apart, "observations": trace["observations"]}):
        [item], _ = read(read_langfuse, lines(tmp_path / "trace", row))
        check(item)
        assert (item.facts.tags, item.facts.metadata["trace"]) == (("x",), "tr-1")


def test_rows_of_a_bucket_in_snake_case_with_json_in_texts(tmp_path):
    row = {
        "id": "obs-1",
        "trace_id": "tr-1",
        "type": "GENERATION",
        "start_time": "2025-06-15 15:06:40.000000",
        "provided_model_name": "large-1",
        "input": json.dumps([USER]),
        "output": json.dumps({"role": "assistant", "content": "order"}),
        "session_id": "s1",
        "user_id": "ada",
        "metadata": {},
    }
    [item], _ = read(read_langfuse, lines(tmp_path / "a", row))
    check(item)
    assert item.facts.subject == "ada"


def test_a_table_of_the_screen(tmp_path):
    path = tmp_path / "a.csv"
    cells = [json.dumps(json.dumps([USER])).replace('\\"', '""')[0:], json.dumps("order")]
    path.write_text(
        "id,traceId,type,startTime,model,sessionId,input,output\n"
        f"o,t,GENERATION,2025-06-15T15:06:40Z,large-1,s1,{cells[0]},{cells[1]}\n"
    )
    [item], bad = read(read_langfuse, path)
    assert not bad.count
    check(item)


def test_other_observations_are_counted_and_calls_without_words_are_bad(tmp_path):
    rows = [{**OBSERVATION, "type": "SPAN"}, {**OBSERVATION, "level": "ERROR"}, {**OBSERVATION, "input": None}]
    items, bad = read(read_langfuse, lines(tmp_path / "a", *rows))
    assert items == []
    assert bad.passed == {"observation of type SPAN": 1, "call that failed": 1}
    assert "export it with inputs and outputs" in bad.listed()


def test_a_trace_alone_is_a_call(tmp_path):
    trace = {"id": "t", "timestamp": "2025-06-15T15:06:40Z", "input": "where is it", "output": "order", "userId": "ada"}
    [item], _ = read(read_langfuse, lines(tmp_path / "a", trace))
    assert (item.messages, item.answer, item.facts.subject) == ((USER,), ANSWER, "ada")
