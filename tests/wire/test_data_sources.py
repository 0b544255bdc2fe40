"""Data sources are read with the path of what is wrong, down to the row."""

from __future__ import annotations

import pytest

from stillhouse.wire.data_sources import (
    Asking,
    FileContent,
    FileId,
    Row,
    StoredCompletions,
    read_data_source,
    read_row_line,
    write_data_source,
)
from stillhouse.wire.errors import WireError
from stillhouse.wire.item_schema import ItemSchema
from stillhouse.wire.samples import Sampling, sample_of_text

SCHEMA = ItemSchema({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}, "s")
CONTENT = {
    "type": "file_content",
    "content": [{"item": {"q": "a"}}, {"item": {"q": "b"}, "sample": {"output_text": "c"}}],
}
TEMPLATE = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}
STORED = {"type": "stored_completions", "metadata": {"usecase": "x"}, "created_after": 5, "limit": 10}


def read(value: object, schema: ItemSchema | None = SCHEMA):
    return read_data_source(value, "data_source", schema)


def test_rows_with_and_without_samples():
    source = read({"type": "jsonl", "source": CONTENT})
    assert source.source == FileContent((Row({"q": "a"}), Row({"q": "b"}, sample_of_text("c"))))
    assert (source.kind, source.asking) == ("jsonl", None)
    assert write_data_source(source) == {"type": "jsonl", "source": CONTENT}


def test_files_and_stored_completions():
    assert read({"type": "jsonl", "source": {"type": "file_id", "id": "file-1"}}).source == FileId("file-1")
    stored = read({"type": "completions", "source": STORED}, None)
    assert stored.source == StoredCompletions({"usecase": "x"}, None, 5, None, 10)
    assert stored.asking is None


def test_sampling_with_a_template_or_a_reference():
    asked = {"type": "completions", "source": CONTENT, "model": "m", "input_messages": TEMPLATE}
    source = read({**asked, "sampling_params": {"max_completions_tokens": 5}})
    assert source.asking is not None
    assert (source.asking.model, source.asking.sampling.max_tokens) == ("m", 5)
    assert write_data_source(source)["input_messages"] == {
        "type": "template",
        "template": [{"type": "message", "role": "user", "content": "{{item.q}}"}],
    }
    reference = {"type": "item_reference", "item_reference": "item.input"}
    again = read({"type": "completions", "source": STORED, "model": "m", "input_messages": reference})
    assert again.asking == Asking("m", "item.input", Sampling())
    assert read({"type": "completions", "source": STORED, "model": "m"}).asking == again.asking


def test_options_of_the_responses_api_become_those_of_chat():
    text = {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}}
    tool = {"type": "function", "name": "f", "parameters": {}}
    asked = {"type": "responses", "source": CONTENT, "model": "m", "input_messages": TEMPLATE}
    source = read({**asked, "sampling_params": {"text": text, "tools": [tool]}})
    assert source.asking is not None
    assert source.asking.sampling.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {}, "strict": True},
    }
    assert source.asking.sampling.tools == ({"type": "function", "function": {"name": "f", "parameters": {}}},)


@pytest.mark.parametrize(
    ("value", "code", "param"),
    [
        ("x", "invalid_type", "data_source"),
        ({"type": "csv"}, "invalid_value", "data_source.type"),
        ({"type": "jsonl"}, "missing_required_parameter", "data_source.source"),
        ({"type": "jsonl", "source": STORED}, "invalid_value", "data_source.source.type"),
        ({"type": "responses", "source": STORED}, "invalid_value", "data_source.source.type"),
        ({"type": "responses", "source": {"type": "responses"}}, "unsupported_feature", "data_source.source.type"),
        ({"type": "jsonl", "source": {"type": "file_id"}}, "missing_required_parameter", "data_source.source.id"),
        ({"type": "jsonl", "source": {"type": "file_content", "content": []}}, "array_below_min_length",
         "data_source.source.content"),
        ({"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"q": "a"}}, {"x": 1}]}},
         "missing_required_parameter", "data_source.source.content[1].item"),
        ({"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"q": "a"}}, {"item": {"q": 1}}]}},
         "invalid_value", "data_source.source.content[1].item"),
        ({"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"q": "a"}, "sample": {}}]}},
         "missing_required_parameter", "data_source.source.content[0].sample.output_text"),
        ({"type": "completions", "source": {**STORED, "limit": 0}}, "integer_below_min_value",
         "data_source.source.limit"),
        ({"type": "completions", "source": {**STORED, "metadata": {"a": 1}}}, "invalid_type",
         "data_source.source.metadata.a"),
        ({"type": "completions", "source": CONTENT, "input_messages": TEMPLATE}, "missing_required_parameter",
         "data_source.model"),
        ({"type": "completions", "source": CONTENT, "model": "m"}, "missing_required_parameter",
         "data_source.input_messages"),
        ({"type": "completions", "source": CONTENT, "model": "m", "input_messages": {"type": "x"}}, "invalid_value",
         "data_source.input_messages.type"),
        ({"type": "completions", "source": CONTENT, "model": "m", "input_messages": TEMPLATE,
          "sampling_params": {"top_p": 2}}, "decimal_above_max_value", "data_source.sampling_params.top_p"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(value, code, param):
    with pytest.raises(WireError) as caught:
        read(value)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_lines_of_a_file():
    assert read_row_line(b'{"item": {"q": "a"}}', 1, SCHEMA) == Row({"q": "a"})
    for line, param in ((b"{", "line 7"), (b"[]", "line 7"), (b'{"item": {}}', "line 7.item")):
        with pytest.raises(WireError) as caught:
            read_row_line(line, 7, SCHEMA)
        assert caught.value.param == param
