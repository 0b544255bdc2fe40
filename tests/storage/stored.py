"""Completions for tests: made by number, so that what is listed can be told."""

from __future__ import annotations

import orjson

from stillhouse.storage.records import StoredCompletion


def completion(number: int, created: int | None = None, model: str = "large", **metadata: str) -> StoredCompletion:
    """One whose id sorts by its number, created in that second unless another is named."""
    answer = {"id": f"chatcmpl-{number:06}", "choices": [{"message": {"content": f"answer {number}"}}]}
    messages = [{"role": "user", "content": f"question {number}"}]
    return StoredCompletion(
        id=f"chatcmpl-{number:06}",
        created=number if created is None else created,
        asked=f"alias-of-{model}",
        model=model,
        route="teacher; reason=low-confidence",
        metadata=metadata,
        answer=orjson.dumps(answer),
        messages=orjson.dumps(messages),
    )


def numbers(page) -> list[int]:
    """The numbers of the completions of a page."""
    return [int(row.id.removeprefix("chatcmpl-")) for row in page.rows]
