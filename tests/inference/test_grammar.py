from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stillhouse.errors import ModelFailed
from stillhouse.inference.grammar import Grammars, write_grammar
from stillhouse.inference.tool_calls import ToolCalls
from stillhouse.inference.words import Piece
from stillhouse.wire.chat_options import Toolbox
from stillhouse.wire.choices import ToolCall
from stillhouse.wire.errors import WireError
from tests.tasks.talk import backend

END = 2
VOCABULARY = backend().get_vocab_size() + 8  # models have more logits than their tokenizers have tokens
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"town": {"$ref": "#/$defs/Town"}},
            "required": ["town"],
            "additionalProperties": False,
            "$defs": {"Town": {"enum": ["Ulm", "Bonn"]}},
        },
    },
}
TIME = {"type": "function", "function": {"name": "time"}}
STRICT = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
SCHEMA = {
    "type": "object",
    "properties": {"rain": {"type": "boolean"}, "towns": {"type": "array", "items": {"enum": ["Ulm"]}, "maxItems": 2}},
    "required": ["rain", "towns"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(backend().to_str(), VOCABULARY, [END])


def spoken(constraint, seed: int, first: Sequence[int] = (), most: int = 400) -> str:
    """What a model says that knows nothing but what it may say."""
    random, said = np.random.default_rng(seed), list(first)
    for token in first:
        assert constraint.mask()[token]
        constraint.take(token)
    for _ in range(most):
        token = int(random.choice(np.flatnonzero(constraint.mask())))
        if token == END:
            break
        said.append(token)
        if constraint.take(token):
            break
    return backend().decode(said)


def calls_in(text: str, *names: str) -> tuple[str, list[ToolCall]]:
    reader = ToolCalls(frozenset(names))
    found = [*reader.add(Piece(text)), *reader.end()]
    calls = [part for part in found if isinstance(part, ToolCall)]
    return "".join(part.text for part in found if isinstance(part, Piece)), calls


def compiled(grammars: Grammars, schema: Any, tools: Toolbox | None = None, in_tags: bool = True):
    text = write_grammar(schema, tools, in_tags)
    assert text is not None
    return grammars.compile(text, "response_format" if schema is not None else "tools")


@pytest.mark.parametrize("seed", range(10))
def test_whatever_a_model_says_is_json_of_the_schema(grammars, seed):
    told = json.loads(spoken(compiled(grammars, SCHEMA).begin(), seed))
    assert list(told) == ["rain", "towns"]
    assert isinstance(told["rain"], bool)
    assert len(told["towns"]) <= 2


def test_tokens_that_the_tokenizer_does_not_have_are_never_allowed(grammars):
    assert compiled(grammars, SCHEMA).begin().mask().shape == (VOCABULARY,)
    assert not compiled(grammars, {"type": "object"}).begin().mask()[backend().get_vocab_size() :].any()


@pytest.mark.parametrize("in_tags", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_call_that_must_be_made_is_made(grammars, seed, in_tags):
    tools = Toolbox((WEATHER, STRICT), must=True, several=False)
    words, calls = calls_in(spoken(compiled(grammars, None, tools, in_tags).begin(), seed), "weather")
    assert words == ""
    assert [call.name for call in calls] == ["weather"]
    assert json.loads(calls[0].arguments)["town"] in ("Ulm", "Bonn")


def test_a_function_without_parameters_takes_any_object(grammars):
    constraint = compiled(grammars, None, Toolbox((TIME,), must=True)).begin()
    call = '<tool_call>\n{"name": "time", "arguments": {"zone": [1, {}]}}\n</tool_call>'
    assert spoken(constraint, 0, backend().encode(call).ids, most=0) == call


def test_with_a_schema_an_answer_is_that_or_a_call(grammars):
    grammar = compiled(grammars, SCHEMA, Toolbox((WEATHER,)))
    first = "".join(chr(token) for token in b"<{")
    allowed = grammar.begin().mask()
    assert all(allowed[backend().token_to_id(character)] for character in first)
    assert not allowed[backend().token_to_id("a")]


def test_only_strict_tools_bind_answers_that_need_not_call():
    assert write_grammar(None, Toolbox((WEATHER,)), True) is None
    assert write_grammar(None, Toolbox((STRICT,)), False) is None
    assert write_grammar(None, None, True) is None


def test_words_may_come_before_the_call_of_a_strict_tool(grammars):
    grammar = compiled(grammars, None, Toolbox((STRICT,)))
    words = backend().encode("Yes, it is. <tool_call>").ids
    found, calls = calls_in(spoken(grammar.begin(), 3, words, most=60), "weather")
    assert found.startswith("Yes, it is.")
    assert json.loads(calls[0].arguments)["town"] in ("Ulm", "Bonn")
    assert grammar.begin().mask()[END]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "foo"}, "Invalid type: foo"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"$ref": "http://127.0.0.1:1/x"}, "not present"),
        ({"enum": []}, "Unsatisfiable"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, "use 'anyOf'"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, ""),
        ({"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}}, "uniqueItems"),
    ],
)
def test_a_schema_that_cannot_be_held_to_is_refused(grammars, schema, reason):
    with pytest.raises(WireError) as caught:
        compiled(grammars, schema)
    assert reason in str(caught.value)
    assert "llguidance" not in str(caught.value)
    assert (caught.value.code, caught.value.param) == ("invalid_json_schema", "response_format")


def test_so_are_parameters_of_a_function(grammars):
    bad = {"type": "function", "function": {"name": "f", "parameters": {"type": "foo"}}}
    with pytest.raises(WireError) as caught:
        compiled(grammars, None, Toolbox((bad,), must=True))
    assert (caught.value.code, caught.value.param) == ("invalid_function_parameters", "tools")


def test_compiled_grammars_are_kept_and_answers_do_not_touch_each_other(grammars):
    grammar = compiled(grammars, SCHEMA)
    assert compiled(grammars, SCHEMA) is grammar
    one, other = grammar.begin(), grammar.begin()
    one.take(backend().token_to_id("{"))
    assert other.mask()[backend().token_to_id("{")]
    assert not one.mask()[backend().token_to_id("{")]


def test_the_oldest_grammar_is_let_go():
    few = Grammars(backend().to_str(), VOCABULARY, [END])
    first = compiled(few, {"const": 0})
    for number in range(1, 129):
        compiled(few, {"const": number})
    assert compiled(few, {"const": 0}) is not first


def test_a_token_that_may_not_come_fails(grammars):
    with pytest.raises(ModelFailed, match="cannot be followed"):
        compiled(grammars, SCHEMA).begin().take(backend().token_to_id("a"))
