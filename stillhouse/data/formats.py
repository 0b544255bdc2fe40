"""Rows of traffic files: fine-tuning rows, stored completions and prompt-completion pairs, read line by line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from stillhouse.chat import Message, TokenLogprob
from stillhouse.errors import BadRow, TrafficError
from stillhouse.wire.training_rows import OURS

__all__ = ["Row", "open_plain", "parse_row", "read_head", "read_lines", "teacher_of"]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
CONVERSATION_KEYS = ("conversation_id", "session_id", "thread_id")
TEXT_PARTS = ("text", "input_text", "output_text")
HEAD = 4096
"""Bytes of a file looked at to tell text from anything else."""
BINARY_KINDS = {b"PK\x03\x04": "a zip or Excel file", b"PAR1": "a Parquet file", b"\x89PNG": "a picture"}


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded call: what was asked, and what the teacher answered if it is known."""

    messages: tuple[Message, ...]
    """Everything before the answer."""
    answer: str | None
    """None: a prompt without an answer."""
    truth: str | None
    """The known right answer, in the form of the answers."""
    conversation: str | None
    """Rows of one conversation carry the same name."""
    soft: tuple[TokenLogprob, ...]
    """The answer's tokens with their likeliest alternatives, where they were recorded."""
    teacher: str | None
    """Who answered."""
    file: str
    line: int


class _Unusable(Exception):
    """Why a row cannot be used."""


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a JSONL file that are not blank, with their numbers from 1, without holding the file.

    Gzip is told by its first bytes. Raises TrafficError when the file as a whole cannot be read: missing, empty,
    binary, or one JSON array instead of lines.
    """
    head = read_head(path)
    found = False
    number = 0
    try:
        with open_plain(path) as lines:
            for number, raw in enumerate(lines, 1):
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw  # a UTF-8 byte order mark
                if not line.strip():
                    continue
                if not found:
                    _refuse_other_json(path, line, head)
                found = True
                yield number, line
    except (EOFError, zlib.error, OSError) as error:
        raise TrafficError(f"{path} cannot be read beyond line {number}: {error}. Is it complete?") from error
    if not found:
        raise TrafficError(f"{path} is empty. Traffic is a file with one JSON object per line.")


def open_plain(path: Path) -> BinaryIO:
    """A file as it was before gzip, by which it may be compressed: that is told by its first bytes."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path)) if packed else path.open("rb")


def read_head(path: Path, wanted: str = "Traffic is UTF-8 text with one JSON object per line.") -> bytes:
    """The first bytes of the text; raises TrafficError where there is no text to read."""
    if path.is_dir():
        raise TrafficError(f"{path} is a folder. Name the files in it: {path}/*.jsonl")
    if not path.exists():
        raise TrafficError(f"{path} does not exist. Check the name, and the folder the command runs in.")
    try:
        with open_plain(path) as file:
            head = file.read(HEAD)
    except (EOFError, zlib.error, OSError) as error:
        raise TrafficError(f"{path} cannot be read: {error}") from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TrafficError(f"{path} is UTF-16 text. {wanted} Convert it: iconv -f UTF-16 -t UTF-8")
    if b"\0" in head or any(head.startswith(magic) for magic in BINARY_KINDS):
        kind = next((kind for magic, kind in BINARY_KINDS.items() if head.startswith(magic)), "a binary file")
        raise TrafficError(f"{path} is {kind}. {wanted}")
    return head


def _refuse_other_json(path: Path, line: bytes, head: bytes) -> None:
    first = line.strip()
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise TrafficError(
            f"{path} holds one JSON array; traffic has one JSON object per line. Convert it: jq -c '.[]' {path}"
        )
    if first == b"{":
        raise TrafficError(
            f"{path} holds JSON objects spread over several lines; traffic has one JSON object per line. "
            f"Convert it: jq -c . {path}"
        )


def parse_row(line: bytes, file: str, number: int) -> Row | BadRow:
    """The row on one line of a file, or why it cannot be used."""
    try:
        return _parse(line, file, number)
    except _Unusable as error:
        return BadRow(file, number, str(error))


def _parse(line: bytes, file: str, number: int) -> Row:
    data = _load(line)
    if "choices" in data or data.get("object") == "chat.completion":
        messages, answer, logprobs = _stored_completion(data)
    elif "messages" in data:
        messages, answer, logprobs = _fine_tuning_row(data)
    elif "prompt" in data:
        messages, answer, logprobs = _prompt_and_completion(data)
    else:
        keys = ", ".join(list(data)[:6]) or "none"
        raise _Unusable(f'it has none of "messages", "choices" and "prompt" (its keys: {keys})')
    if answer is not None and not answer.strip():
        raise _Unusable("its answer is empty")
    return Row(
        messages=messages,
        answer=answer,
        truth=_truth(data.get("truth")),
        conversation=_conversation(data),
        soft=_tokens(logprobs) if logprobs else (),
        teacher=teacher_of(data),
        file=file,
        line=number,
    )


def teacher_of(row: Mapping[str, Any]) -> str | None:
    """Who answered a row, as it says: a teacher by its name, else a model; several with `+` between them.

    Fine-tuning rows say it in keys of ours, `x_teacher` and `x_model`.
    """
    row = {key.removeprefix(OURS): value for key, value in row.items()}
    inner = [_field(row.get(part), key) for part, key in (("source", "teacher"), ("facts", "model"))]
    named = (row.get("teacher"), *inner, row.get("model"))
    return next((name for name in named if isinstance(name, str) and name), None)


def _field(value: Any, key: str) -> Any:
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def _load(line: bytes) -> dict[str, Any]:
    try:
        data: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _Unusable(f"it is not valid JSON ({error.msg}, column {error.colno})") from error
    if not isinstance(data, dict):
        kind = {list: "an array", str: "a string", type(None): "null", bool: "true or false"}.get(
            cast("type[Any]", type(data)), "a number"
        )
        raise _Unusable(f"it is {kind}, not a JSON object")
    return cast("dict[str, Any]", data)


def _fine_tuning_row(data: dict[str, Any]) -> tuple[tuple[Message, ...], str | None, Any]:
    items = _items(data["messages"])
    last = items[-1]
    role = last.get("role")
    if role == "assistant":
        if last.get("weight") == 0:
            raise _Unusable("its answer has weight 0: it is marked as not to be learnt")
        return _messages(items[:-1]), _answer(last), data.get("logprobs")
    messages = _messages(items)
    if role != "user":
        raise _Unusable(f"its last message is from \"{role}\"; it must be the assistant's answer or a user's question")
    return messages, None, None


def _stored_completion(data: dict[str, Any]) -> tuple[tuple[Message, ...], str | None, Any]:
    request = data.get("request")
    asked: Any = data.get("messages") or data.get("input")
    if not asked and isinstance(request, dict):
        asked = cast("dict[str, Any]", request).get("messages")
    if not asked:
        raise _Unusable('it is a stored completion without its request; add the request\'s "messages" to it')
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    choices: Any = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _Unusable('its "choices" hold no answer')
    choice = cast("dict[str, Any]", choices[0])
    message: Any = choice.get("message")
    if not isinstance(message, dict):
        raise _Unusable("its first choice holds no message")
    messages, answer = _messages(_items(asked)), _answer(cast("dict[str, Any]", message))
    if choice.get("finish_reason") in ("length", "content_filter"):
        raise _Unusable(f"its answer was cut off (finish_reason {choice['finish_reason']})")
    return messages, answer, choice.get("logprobs")


def _prompt_and_completion(data: dict[str, Any]) -> tuple[tuple[Message, ...], str | None, Any]:
    prompt, completion = data["prompt"], data.get("completion")
    if not isinstance(prompt, str) or not prompt.strip():
        raise _Unusable('its "prompt" is not a text')
    if completion is not None and not isinstance(completion, str):
        raise _Unusable('its "completion" is not a text')
    return (Message("user", prompt),), completion, data.get("logprobs")


def _items(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise _Unusable("its messages are not a list with at least one message")
    items = cast("list[Any]", value)
    for position, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise _Unusable(f"message {position} is not a JSON object")
        role = cast("dict[str, Any]", item).get("role")
        if role not in ROLES:
            shown = "has no role" if role is None else f"has the role {json.dumps(role)}"
            raise _Unusable(f"message {position} {shown}; roles are {', '.join(ROLES)}")
    return items


def _messages(items: list[dict[str, Any]]) -> tuple[Message, ...]:
    """The messages before the answer; at least one must be somebody's question."""
    messages = tuple(
        Message(item["role"], _text(item, f"message {position}")) for position, item in enumerate(items, 1)
    )
    if not any(message.role == "user" for message in messages):
        raise _Unusable("it has no user message before the answer")
    if messages[-1].role == "assistant":
        raise _Unusable("its last two messages are both from the assistant")
    if not messages[-1].content.strip():
        raise _Unusable("its last message before the answer is empty")
    return messages


def _answer(message: dict[str, Any]) -> str:
    if message.get("refusal"):
        raise _Unusable("its answer is a refusal")
    return _text(message, "its answer")


def _text(message: dict[str, Any], name: str) -> str:
    content: Any = message.get("content")
    if message.get("tool_calls") or message.get("function_call"):
        raise _Unusable(f"{name} calls a tool; only answers in words can be learnt")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(part, name) for part in cast("list[Any]", content))
    raise _Unusable(f"{name} has no content")


def _part(part: Any, name: str) -> str:
    part = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    if part.get("type") not in TEXT_PARTS:
        raise _Unusable(f"{name} has a part of type {json.dumps(part.get('type'))}; only text can be used")
    if not isinstance(part.get("text"), str):
        raise _Unusable(f"{name} has a text part without text")
    return part["text"]


def _truth(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _conversation(data: dict[str, Any]) -> str | None:
    metadata = data.get("metadata")
    for place in (data, metadata):
        if isinstance(place, dict):
            for key in CONVERSATION_KEYS:
                value: Any = cast("dict[str, Any]", place).get(key)
                if isinstance(value, (str, int)) and value != "":
                    return str(value)
    return None


def _tokens(logprobs: Any) -> tuple[TokenLogprob, ...]:
    """Recorded log-probabilities; those of another shape are passed over, the words are what counts."""
    try:
        return tuple(
            TokenLogprob(
                item["token"],
                float(item["logprob"]),
                tuple((other["token"], float(other["logprob"])) for other in item.get("top_logprobs") or ()),
            )
            for item in logprobs["content"] or ()
        )
    except (KeyError, TypeError, ValueError):
        return ()
