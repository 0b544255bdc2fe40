"""The rows of training files: checked one by one, with the codes and words that failed jobs have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import orjson

from stillhouse.errors import StillhouseError
from stillhouse.wire.fine_tuning import Method

__all__ = ["FEWEST", "MESSAGE_KEYS", "MODEL", "OURS", "BadTrainingFile", "Which", "read_training_rows"]

Which = Literal["training", "validation"]
Row = dict[str, Any]

FEWEST = 10
"""Rows of the smallest training file."""
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MESSAGE_KEYS = frozenset(
    {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal", "audio"}
)
CHAT_KEYS = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})
PAIR_KEYS = {"preferred_completion": "preferred_output", "non_preferred_completion": "non_preferred_output"}
"""What an older description called the two answers of a pair."""
OURS = "x_"
"""Keys that begin so are ours, and never wrong."""
MODEL = "x_model"
"""The model that gave the answer of a row: by that name the terms are found on which it may be learnt."""


class BadTrainingFile(StillhouseError):
    """A job cannot learn from a file; `code` is the one that the job fails with."""

    def __init__(self, code: str, message: str, which: Which) -> None:
        super().__init__(message)
        self.code, self.which = code, which


def read_training_rows(lines: Iterable[bytes], method: Method, which: Which, fewest: int = FEWEST) -> Iterator[Row]:
    """The rows of a file; empty lines are passed over. Raises BadTrainingFile at the first that is wrong.

    The last thing it raises is that there are too few. DPO rows come with `preferred_output` and
    `non_preferred_output`, whatever they were called.
    """
    reader = _Reader(method, which)
    number = 0
    for line in lines:
        if line.strip():
            number += 1
            yield reader.read(number, line)
    least = fewest if which == "training" else 1
    if number < least:
        words = f"{which.capitalize()} file has {number} example(s), but must have at least {least} examples"
        raise BadTrainingFile("invalid_n_examples", words, which)


class _Reader:
    """Reads rows for a method."""

    def __init__(self, method: Method, which: Which) -> None:
        self._method: Method = method
        self._which: Which = which

    def read(self, number: int, line: bytes) -> Row:
        """One row, checked."""
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self._wrong(f"Invalid file format. Line {number} is not valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise self._wrong(f"Invalid file format. Example {number} is not a JSON object")
        row = cast(Row, value)
        is_pair, is_chat = "input" in row, "messages" in row
        if self._method == "dpo":
            if is_chat and not is_pair:
                raise self._wrong_method("fine-tune-chat", "dpo")
            return self._pair(number, row)
        if is_pair and not is_chat:
            raise self._wrong_method("fine-tune-preference", "supervised")
        if not is_chat:
            if {"prompt", "completion"} <= set(row):
                raise self._wrong_method("fine-tune-completion", "supervised")
            raise self._wrong(f'Invalid file format. Example {number} is missing key "messages"')
        self._check_chat(number, row)
        return row

    def _check_chat(self, number: int, row: Row) -> None:
        self._check_keys(number, row, CHAT_KEYS)
        self._check_messages(number, row["messages"])
        answers = [message for message in row["messages"] if message["role"] == "assistant"]
        if not any(message.get("weight", 1) != 0 for message in answers):
            words = (
                "has no assistant message to learn from" if not answers else "has only assistant messages of weight 0"
            )
            raise self._wrong(f"Invalid file format. Example {number} {words}")
        self._check_tools(number, row)

    def _pair(self, number: int, row: Row) -> Row:
        row = {PAIR_KEYS.get(key, key): value for key, value in row.items()}
        self._check_keys(number, row, {"input", "preferred_output", "non_preferred_output"})
        for key in ("input", "preferred_output", "non_preferred_output"):
            if key not in row:
                raise self._wrong(f'Invalid file format. Example {number} is missing key "{key}"')
        asked = cast(Row, row["input"])
        if not isinstance(row["input"], dict) or "messages" not in asked:
            raise self._wrong(f'Invalid file format. Example {number}, "input" is missing key "messages"')
        self._check_keys(number, asked, CHAT_KEYS)
        self._check_messages(number, asked["messages"])
        self._check_tools(number, asked)
        for key in ("preferred_output", "non_preferred_output"):
            self._check_messages(number, row[key], f'"{key}" ')
            if len(row[key]) != 1 or row[key][0]["role"] != "assistant" or not isinstance(row[key][0]["content"], str):
                words = f'Example {number}, "{key}" must be exactly one assistant message with text'
                raise self._wrong(f"Invalid file format. {words}")
        return row

    def _check_keys(self, number: int, row: Row, known: Iterable[str]) -> None:
        for key in row:
            if key not in known and not key.startswith(OURS):
                words = f'Invalid file format. Example {number} contains an extra "{key}".'
                raise self._wrong(words, "invalid_file_format")

    def _check_messages(self, number: int, messages: object, where: str = "") -> None:
        if not isinstance(messages, list) or not messages:
            raise self._wrong(
                f"Invalid file format. Example {number}, {where}messages must be a list that is not empty"
            )
        for place, message in enumerate(cast(list[Any], messages), 1):
            reason = _message_fault(message)
            if reason:
                raise self._wrong(f"Invalid file format. Example {number}, {where}message {place} {reason}")
            for key in message:
                if key not in MESSAGE_KEYS:
                    words = f'Invalid file format. Example {number}, {where}message {place} contains an extra "{key}".'
                    raise self._wrong(words, "invalid_file_format")

    def _check_tools(self, number: int, row: Row) -> None:
        for key in ("tools", "functions"):
            given = row.get(key)
            if given is not None and (not isinstance(given, list) or not 1 <= len(cast(list[Any], given)) <= 128):
                raise self._wrong(f'Invalid file format. Example {number}, "{key}" must be a list of 1 to 128')

    def _wrong_method(self, found: str, method: str) -> BadTrainingFile:
        return self._wrong(f"{self._which.capitalize()} file is in the {found} format, but the job has method={method}")

    def _wrong(self, words: str, code: str | None = None) -> BadTrainingFile:
        code = f"invalid_{self._which}_file" if code is None or self._which == "validation" else code
        return BadTrainingFile(code, f"The job failed due to an invalid {self._which} file. {words}", self._which)


def _message_fault(message: Any) -> str | None:
    """What is wrong with a message, but for its keys."""
    if not isinstance(message, Mapping):
        return "is not a JSON object"
    if "role" not in message:
        return "Discriminator 'role' is missing in value"
    given = cast(Mapping[str, Any], message)
    if given["role"] not in ROLES:
        return f"has the unknown role {str(given['role'])[:40]!r}"
    assistant = given["role"] == "assistant"
    if "weight" in given and (not assistant or given["weight"] not in (0, 1)):
        return "has a weight, which only assistant messages may have, and must be 0 or 1"
    content = given.get("content")
    if content is None:
        return None if assistant and (given.get("tool_calls") or given.get("function_call")) else "has no content"
    return _content_fault(content, assistant)


def _content_fault(content: Any, assistant: bool) -> str | None:
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return "has a content that is neither a string nor a list of parts"
    for part in cast(list[Any], content):
        kind = cast(Mapping[str, Any], part).get("type") if isinstance(part, Mapping) else None
        if kind == "image_url":
            return (
                "has an image, which assistant messages must not have" if assistant else "has an image; text is learnt"
            )
        if kind != "text" or not isinstance(cast(Mapping[str, Any], part).get("text"), str):
            return f"has a part of the unknown type {str(kind)[:40]!r}"
    return None
