"""Grammars: which tokens may come next so that an answer is JSON of a schema, or a call of a tool."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import orjson

from stillhouse.errors import ModelFailed
from stillhouse.extras import require
from stillhouse.inference.tool_calls import CLOSE, OPEN
from stillhouse.wire.chat_options import Toolbox
from stillhouse.wire.errors import Unsupported, WireError

__all__ = ["Constraint", "Grammar", "Grammars", "write_grammar"]

JSON_FORM = {"whitespace_pattern": r"( |\n {0,32})?", "lenient": False, "coerce_one_of": False}
"""How JSON may be laid out: an optional space, or a new line with spaces, between any two parts; never without end."""
ANYTHING = {"type": "object"}
LINE = "\n"
SOURCE = re.compile(r"\n\s*\d+ \| ")
"""Where an error goes on with the grammar that it is in."""
KEPT = 128
"""So many compiled grammars are kept."""


@final
class Constraint:
    """What one answer may still become."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def mask(self) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, `[vocabulary]`; raises ModelFailed when the grammar has become too complex."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise ModelFailed(f"The answer's form cannot be followed: {self._matcher.get_error()}")
        return np.unpackbits(bits, count=self._vocabulary, bitorder="little").astype(np.bool_)

    def take(self, token: int) -> bool:
        """Go on by one token; True once nothing more may come. Raises ModelFailed for a token that may not."""
        if not self._matcher.consume_token(token):
            raise ModelFailed(f"The answer's form cannot be followed: {self._matcher.get_error()}")
        return self._matcher.is_stopped()


@final
class Grammar:
    """A compiled grammar, from which any number of answers begin."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def begin(self) -> Constraint:
        """The constraint of a new answer."""
        return Constraint(self._matcher.deep_copy(), self._vocabulary)


@final
class Grammars:
    """Compiles grammars for one tokenizer and keeps the last of them; several threads may ask at once."""

    def __init__(self, tokenizer: str, vocabulary: int, ends: Collection[int]) -> None:
        """`tokenizer` is the JSON of its file, `vocabulary` the number of a model's logits, `ends` its end tokens."""
        self._written, self._vocabulary, self._ends = (
            tokenizer,
            vocabulary,
            sorted(end for end in ends if end < vocabulary),
        )
        self._tokenizer: Any = None
        self._kept: OrderedDict[str, Grammar] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, text: str, param: str) -> Grammar:
        """The grammar of a text by `write_grammar`; raises WireError, naming `param`, for one that cannot be done."""
        require("local", "hold answers to a JSON schema")
        with self._lock:
            found = self._kept.get(text)
            if found is None:
                found = self._kept[text] = self._compile(text, param)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(text)
            return found

    def _compile(self, text: str, param: str) -> Grammar:
        import llguidance  # it is an optional package

        if self._tokenizer is None:
            try:
                self._tokenizer = llguidance.LLTokenizer(self._written, self._vocabulary, self._ends or None)
            except ValueError as error:
                raise Unsupported(f"This model's tokenizer knows no grammars: {error}", param) from error
        limits = llguidance.LLParserLimits(verbose_errors=False)
        matcher = llguidance.LLMatcher(self._tokenizer, text, log_level=0, limits=limits)
        if matcher.is_error():
            raise _cannot(matcher.get_error(), param)
        matcher.compute_bitmask()  # what can never be satisfied shows at the first token
        if matcher.is_error() or not np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8).any():
            raise _cannot(matcher.get_error() or "nothing satisfies it", param)
        return Grammar(matcher, self._vocabulary)


def write_grammar(schema: Mapping[str, Any] | None, tools: Toolbox | None, in_tags: bool) -> str | None:
    """What answers may be as the text of a grammar, None where they may be anything.

    JSON of the schema, where there is one; calls of tools instead, if there are any, and only these where one must be
    made. Where neither is asked, calls are held to their schemas only if a tool says `strict`.
    """
    rules: list[str] = []
    if tools:
        rules += _call_rules(tools, in_tags)
    calls = "calls" if tools else None
    if schema is not None:
        rules.append(f"answer: {_json(schema)}")
    if tools and tools.must:
        start = "calls"
    elif schema is not None:
        start = "answer | calls" if calls else "answer"
    elif tools and in_tags and any(tool["function"].get("strict") for tool in tools.functions):
        rules += [
            f"begun[lazy]: TEXT {_quoted(OPEN)}",
            f"amid: begun {_quoted(LINE)} call {_quoted(LINE + CLOSE)}",
            "TEXT: /(.|\\n)*/",
        ]
        start = "amid* TEXT"
    else:
        return None
    return "\n".join(["%llguidance {}", f"start: {start}", *rules])


def _call_rules(tools: Toolbox, in_tags: bool) -> list[str]:
    """Rules for one call in the form that the model was taught, `call`, and for as many as there may be, `calls`."""
    rules: list[str] = []
    for number, tool in enumerate(tools.functions):
        function = tool["function"]
        name = orjson.dumps(function["name"]).decode()
        before = _quoted(f'{{"name": {name}, "{"arguments" if in_tags else "parameters"}": ')
        rules.append(f'call_{number}: {before} {_json(function.get("parameters") or ANYTHING)} "}}"')
    call = f"call: {' | '.join([f'call_{number}' for number in range(len(rules))])}"
    if not in_tags:
        return [*rules, call, "calls: call"]
    tagged = f"{_quoted(OPEN + LINE)} call {_quoted(LINE + CLOSE)}"
    calls = 'calls: tagged ("\\n" tagged)*' if tools.several else "calls: tagged"
    return [*rules, call, f"tagged: {tagged}", calls]


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {orjson.dumps({**schema, 'x-guidance': JSON_FORM}).decode()}"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _cannot(error: str, param: str) -> WireError:
    reason = " ".join(SOURCE.split(error.split("failed to compile JSON schema: ")[-1])[0].split())[:300]
    if reason.startswith("oneOf"):
        reason = "'oneOf' whose branches may both fit; use 'anyOf'"
    code = "invalid_function_parameters" if param == "tools" else "invalid_json_schema"
    what = "a function in 'tools'" if param == "tools" else "response_format"
    return WireError(f"Invalid schema for {what}: this model cannot hold its answer to it: {reason}", code, param)
