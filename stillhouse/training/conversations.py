"""Rows of training files as a model reads them: its chat template, legacy keys, and rows that are too long."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.tasks.chat import ChatTask, read_chat
from stillhouse.tasks.preference import PreferenceTask, read_preferences
from stillhouse.tasks.turns import Counts, each_answer

__all__ = ["TEMPLATE", "Reads", "prepare", "read_conversations", "read_pairs"]

TEMPLATE = (
    "{% if bos_token is defined and bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' and eos_token is defined %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)
"""How conversations are written for a model that brings no chat template; the tuned model takes it along."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reads:
    """Rows as a task, how many there are and their tokens, and how many of the given rows were `cut` or left out."""

    task: ChatTask | PreferenceTask
    count: int
    tokens: int
    cut: int
    rows: Sequence[Row]
    context: int
    counts: Counts = Counts.ANSWERS

    def by(self, tokenizer: Any) -> Reads:
        """The same rows as another tokenizer reads them, with their places."""
        task = read_chat(self.rows, tokenizer, self.counts, self.context, placed=True)
        return replace(self, task=task)


def prepare(tokenizer: Any) -> None:
    """Give a tokenizer without a chat template one that ends what the assistant says."""
    if not tokenizer.chat_template:
        tokenizer.chat_template = TEMPLATE


def read_conversations(rows: Sequence[Row], tokenizer: Any, context: int, placed: bool = False) -> Reads:
    """Conversations whose answers of weight 1 count; of rows longer than `context` tokens the end is left out.

    Where a chat template writes an answer otherwise once more follows it, each answer becomes a row of its own. With
    `placed` a teacher with another tokenizer can be asked as well.
    """
    ready, counts = [_ready(row) for row in rows], Counts.ANSWERS
    _check_tools(ready, tokenizer)
    try:
        task = read_chat(ready, tokenizer, counts, sys.maxsize, placed=placed)
    except UsageError:
        ready, counts = [one for row in ready for one in each_answer(row)], Counts.LAST_ANSWER
        task = read_chat(ready, tokenizer, counts, sys.maxsize, placed=placed)
    whole = [at for at, ids in enumerate(task.ids) if len(ids) <= context]
    stay = [at for at, counted in enumerate(task.counted) if counted[1:context].any()]
    if not stay:
        raise UsageError(f"No row has an answer within the first {context} tokens, which the model can read.")
    reading = task.reading
    if reading is not None:
        first = [np.arange(min(context, len(task.ids[at]))) for at in stay]
        reading = replace(reading, rows=[reading.rows[at].keep(kept) for at, kept in zip(stay, first, strict=True)])
    task = replace(
        task,
        ids=[task.ids[at][:context] for at in stay],
        counted=[task.counted[at][:context] for at in stay],
        reading=reading,
    )
    tokens = sum(map(len, task.ids))
    return Reads(task, len(stay), tokens, len(ready) - len(whole), [ready[at] for at in stay], context, counts)


def read_pairs(rows: Sequence[Row], tokenizer: Any, context: int) -> Reads:
    """Pairs of answers; of those longer than `context` tokens first the beginning is left out, then the end."""
    ready = [{**row, "input": _ready(row["input"])} for row in rows]
    _check_tools([row["input"] for row in ready], tokenizer)
    whole = read_preferences(ready, tokenizer, sys.maxsize)
    task = read_preferences(ready, tokenizer, context)
    cut = sum(whole.length(at) > context for at in range(whole.pairs))
    return Reads(task, task.pairs, sum(map(len, task.answers.ids)), cut, ready, context)


def _check_tools(rows: Sequence[Row], tokenizer: Any) -> None:
    """Refuse rows with tools for a model whose template would leave them out."""
    template = tokenizer.chat_template
    words = template if isinstance(template, str) else " ".join(map(str, (template or {}).values()))
    if "tool" not in words and any(row.get("tools") or _calls(row) for row in rows):
        raise UsageError("The base model's chat template has no place for tools. Choose a base model that knows tools.")


def _calls(row: Row) -> bool:
    return any(message.get("tool_calls") for message in row["messages"])


def _ready(row: Row) -> dict[str, Any]:
    """A row in today's words: tools instead of functions, `system` as templates know it, and no keys of ours."""
    tools = row.get("tools") or [{"type": "function", "function": each} for each in row.get("functions") or []]
    ready: dict[str, Any] = {"messages": [_turn(message) for message in row["messages"]]}
    return ready | ({"tools": tools} if tools else {})


def _turn(message: Row) -> dict[str, Any]:
    turn = {key: value for key, value in message.items() if value is not None}
    call = turn.pop("function_call", None)
    if call:
        turn["tool_calls"] = [{"type": "function", "function": call}]
    if turn["role"] == "developer":
        turn["role"] = "system"
    if turn["role"] == "function":
        turn["role"] = "tool"
    return turn
