"""A row of training material as the text that a language model reads, and the parts of it that count.

Rows are texts, prompts with completions, or conversations. A conversation is written by the tokenizer's chat template.
Which of its characters are an answer is found by writing it up to the answer and up to its end, and comparing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from jinja2 import TemplateError

from stillhouse.chat import Message
from stillhouse.errors import UsageError

__all__ = ["Counts", "Row", "Script", "each_answer", "render_with", "write"]

Row = str | Mapping[str, Any]
"""A text, or a mapping with `text`, with `prompt` and `completion`, or with `messages` and perhaps `tools`."""
Turn = Mapping[str, Any]
Render = Callable[[Sequence[Turn], Any, bool], str]
"""Messages and tools, and whether an answer is to follow -> the text that the model reads."""


class Counts(StrEnum):
    """Which tokens a student is to learn."""

    ANSWERS = "answers"
    """Every answer of the assistant, tool calls included; what users and tools say is only read."""
    LAST_ANSWER = "last_answer"
    """The assistant's last answer; all before it is only read, and what follows it is left out."""
    EVERYTHING = "everything"
    """Every token."""


@dataclass(frozen=True)
class Script:
    """A text, the parts of it that count as (start, end) in characters, and whether the model was to end it."""

    text: str
    counted: tuple[tuple[int, int], ...]
    bare: bool
    """No template wrote it, so the tokenizer adds its special tokens and the end."""
    words: tuple[tuple[int, int], ...] = ()
    """Of each part the words that a template writes as they were said; where there are none given, all of it."""

    @property
    def said(self) -> tuple[tuple[int, int], ...]:
        """Of each part that counts, what every template writes alike."""
        return self.words or self.counted


def render_with(tokenizer: Any) -> Render:
    """How a tokenizer of Transformers writes conversations."""

    def render(messages: Sequence[Turn], tools: Any, asking: bool) -> str:
        try:
            return tokenizer.apply_chat_template(
                list(messages), tools=tools, add_generation_prompt=asking, tokenize=False
            )
        except ValueError as error:
            raise UsageError(
                f"The tokenizer cannot write conversations: {str(error).splitlines()[0]} Set its chat_template, or "
                "give rows of `prompt` and `completion`."
            ) from error
        except TemplateError as error:
            roles = ", ".join(str(message.get("role")) for message in messages)
            raise UsageError(f"The chat template refuses the roles {roles}: {error}") from error

    return render


def write(row: Row, render: Render, counts: Counts) -> Script:
    """The text of a row and what counts of it; raises UsageError where nothing would count."""
    if isinstance(row, str):
        return Script(row, ((0, len(row)),), bare=True)
    if "messages" in row:
        return _conversation(_turns(row["messages"]), row.get("tools"), 0, render, counts)
    if "prompt" in row and "completion" in row:
        return _completion(row, render, counts)
    if isinstance(row.get("text"), str):
        return Script(row["text"], ((0, len(row["text"])),), bare=True)
    keys = ", ".join(sorted(row)) or "none"
    raise UsageError(f"A row needs `messages`, `prompt` and `completion`, or `text`; its keys are: {keys}.")


def each_answer(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A conversation as one row for each of its answers, with all that was said before it.

    For templates that write an answer otherwise once more follows it (leaving out the thoughts of earlier turns, for
    one): each answer is then learnt after the text that it would follow in use. Count `last_answer` of these rows.
    """
    turns = _turns(row["messages"])
    ends = [at + 1 for at, turn in enumerate(turns) if _learnt(turn)]
    return [{**row, "messages": turns[:end]} for end in ends]


def _completion(row: Mapping[str, Any], render: Render, counts: Counts) -> Script:
    prompt, completion = row["prompt"], row["completion"]
    if not isinstance(prompt, str) or not isinstance(completion, str):
        before, after = _turns(prompt), _turns(completion)
        return _conversation([*before, *after], row.get("tools"), len(before), render, counts)
    if not completion:
        raise UsageError("The row's completion is empty, so there is nothing to learn.")
    text = prompt + completion
    start = 0 if counts is Counts.EVERYTHING else len(prompt)
    return Script(text, ((start, len(text)),), bare=True)


def _conversation(turns: list[Turn], tools: Any, first: int, render: Render, counts: Counts) -> Script:
    """A conversation whose answers count from turn number `first` on."""
    if counts is Counts.EVERYTHING:
        text = render(turns, tools, False)
        return Script(text, ((0, len(text)),), bare=False)
    answers = [at for at in range(first, len(turns)) if _learnt(turns[at])]
    if not answers:
        roles = ", ".join(str(turn.get("role")) for turn in turns) or "none"
        raise UsageError(f"The conversation has no answer of the assistant to learn; its roles are: {roles}.")
    if counts is Counts.LAST_ANSWER:
        answers = answers[-1:]
    text = render(turns[: answers[-1] + 1], tools, False)
    parts = [_answer(turns[: at + 1], tools, render, text) for at in answers]
    said = [_said(turns[at], text[first:last], first) for at, (first, last) in zip(answers, parts, strict=True)]
    return Script(text, tuple(parts), False, tuple(said))


def _answer(turns: Sequence[Turn], tools: Any, render: Render, text: str) -> tuple[int, int]:
    """Where in `text` the last of `turns` stands: from where the model begins to write to where it ends."""
    before, after = render(turns[:-1], tools, True), render(turns, tools, False)
    if not after.startswith(before):
        raise UsageError(
            "The chat template asks for an answer otherwise than it writes one: a question ends with "
            f"{_tail(before)!r}, and with the answer there stands {_around(before, after)!r} instead. Give the "
            "tokenizer a chat_template that agrees with itself."
        )
    answer = after[len(before) :]
    words = _words(turns[-1]).split("</think>")[-1].strip()
    if not answer.strip() or words not in answer:
        raise UsageError(
            f"The chat template loses what the assistant says: of {words[:60]!r} it makes {answer[:60]!r}. Give the "
            "tokenizer another chat_template."
        )
    if not text.startswith(after):
        raise UsageError(
            f"The chat template writes an answer otherwise once more follows it ({_around(after, text)!r} instead of "
            f"{_tail(after)!r}), so in one row not all answers can be learnt. Count `last_answer`, or make one row of "
            "each answer (`each_answer`)."
        )
    return len(before), len(before) + len(answer.rstrip())


def _said(turn: Turn, answer: str, first: int) -> tuple[int, int]:
    """Where a message's words stand in an answer that begins at `first`, without what a template puts around them."""
    words = _words(turn).strip()
    if words not in answer:  # thoughts are left out
        words = words.split("</think>")[-1].strip()
    lead = len(answer) - len(answer.lstrip())
    behind = answer.find(words, max(0, answer.find("</think>")))
    at = lead if answer.startswith(words, lead) else max(behind, answer.find(words))
    return first + at, first + at + len(words)


def _turns(messages: Any) -> list[Turn]:
    """Messages as templates want them: text joined, arguments of calls as objects, nothing where nothing is."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise UsageError(f"`messages` must be a list of messages; it is {messages!r}.")
    return [_turn(message) for message in cast("Sequence[Any]", messages)]


def _turn(message: Any) -> Turn:
    if isinstance(message, Message):
        return {"role": message.role, "content": message.content}
    if not isinstance(message, Mapping) or "role" not in message:
        raise UsageError(f"A message needs a `role`; this is {message!r}.")
    turn = {key: value for key, value in cast("Mapping[str, Any]", message).items() if value is not None}
    turn["content"] = _words(turn)
    if "tool_calls" in turn:
        turn["tool_calls"] = [_call(call) for call in turn["tool_calls"]]
    return turn


def _words(turn: Turn) -> str:
    """What a message says as text."""
    content = turn.get("content", "")
    if isinstance(content, str):
        return content
    parts = [part.get("text") if part.get("type") == "text" else None for part in content]
    if None in parts:
        kinds = ", ".join(str(part.get("type")) for part in content)
        raise UsageError(f"Only text can be learnt; a message has parts of type {kinds}.")
    return "".join(str(part) for part in parts)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call with its arguments as an object, which templates write as JSON themselves."""
    function = dict(call.get("function", {}))
    if isinstance(function.get("arguments"), str):
        try:
            function["arguments"] = json.loads(function["arguments"] or "{}")
        except json.JSONDecodeError as error:
            raise UsageError(
                f"The arguments of a call of {function.get('name')!r} are not JSON: {error}. Leave the row out."
            ) from error
    return {**call, "function": function}


def _learnt(turn: Any) -> bool:
    """Whether a turn is an answer that is to be learnt."""
    return turn["role"] == "assistant" and turn.get("weight", 1) != 0


def _tail(text: str) -> str:
    return text[-40:]


def _around(expected: str, found: str) -> str:
    """What stands where a text first differs from what was expected."""
    same = next((at for at, (one, two) in enumerate(zip(expected, found, strict=False)) if one != two), 0)
    return found[max(0, same - 10) : same + 30]
