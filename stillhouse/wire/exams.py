"""The JSON of exams: an eval of what a job has learnt, on rows that were held out, against the teacher's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

__all__ = ["exam_rows", "longest_answer", "write_exam", "write_exam_run"]

Row = Mapping[str, Any]

CRITERION = "as the teacher"
LONGEST_LABEL = 200
"""Characters of the longest answer that is compared as a whole."""
ALIKE = 0.8
"""How like the teacher's a free answer has to be to pass."""
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"messages": {"type": "array", "items": {"type": "object"}}, "answer": {"type": "string"}},
    "required": ["messages", "answer"],
}


def exam_rows(held: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of training files as rows of an eval; those with tools are left out, since their answers are no texts."""
    rows: list[dict[str, Any]] = []
    for row in held:
        *asked, said = row["messages"]
        answer = said.get("content")
        if not isinstance(answer, str) or row.get("tools") or any(each["role"] == "tool" for each in asked):
            continue
        if any(each.get("tool_calls") or each.get("function_call") for each in (*asked, said)):
            continue
        messages = [{"role": each["role"], "content": each["content"]} for each in asked]
        rows.append({"item": {"messages": messages, "answer": answer}})
    return rows


def longest_answer(rows: Sequence[Row]) -> int:
    """More tokens than any answer in an eval's rows has."""
    return max(len(row["item"]["answer"].encode()) for row in rows) + 1


def write_exam(name: str, rows: Sequence[Row], learnt: Sequence[Row]) -> bytes:
    """The eval, as it would be asked for: answers that repeat like labels must be the same, others alike."""
    said = [row["messages"][-1].get("content") for row in learnt]
    answers = [text for text in said if isinstance(text, str)] + [row["item"]["answer"] for row in rows]
    told: dict[str, Any] = {
        "name": CRITERION,
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
    }
    if 2 * len(set(answers)) <= len(answers) and max(len(each) for each in answers) <= LONGEST_LABEL:
        told |= {"type": "string_check", "operation": "eq"}
    else:
        told |= {"type": "text_similarity", "evaluation_metric": "fuzzy_match", "pass_threshold": ALIKE}
    config = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
    return orjson.dumps({"name": name, "data_source_config": config, "testing_criteria": [told]})


def write_exam_run(model: str, file: str, longest: int, job_id: str) -> bytes:
    """The run, as it would be asked for: every row asked of the model, which says what it holds likeliest."""
    source = {
        "type": "completions",
        "model": model,
        "source": {"type": "file_id", "id": file},
        "input_messages": {"type": "item_reference", "item_reference": "item.messages"},
        "sampling_params": {"temperature": 0, "max_completion_tokens": longest},
    }
    return orjson.dumps({"name": model[:200], "data_source": source, "metadata": {"fine_tuning_job": job_id}})
