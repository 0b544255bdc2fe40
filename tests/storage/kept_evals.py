"""Evals, runs and items for tests: made by number, so that what is listed can be told."""

from __future__ import annotations

from stillhouse.storage.eval_records import DoneItem, ItemStatus, RunCounts, StoredEval, StoredItem, StoredRun


def an_eval(number: int, created: int | None = None) -> StoredEval:
    """One whose id sorts by its number, created in that second unless another is named."""
    when = number if created is None else created
    return StoredEval(f"eval_{number:04}", when, when, f"name {number}", {"n": str(number)}, b'{"id":"x"}')


def a_run(number: int, eval_id: str = "eval_0001") -> StoredRun:
    return StoredRun(
        id=f"evalrun_{number:04}",
        eval_id=eval_id,
        created=number,
        status="queued",
        name=f"run {number}",
        model="m",
        metadata={"n": str(number)},
        token="t",
        source=b'{"type":"jsonl"}',
    )


def done(row: int, status: ItemStatus = "pass") -> DoneItem:
    outcomes = (int(status == "pass"), int(status == "fail"), int(status == "error"))
    counts = RunCounts(outcomes, {"c": outcomes}, {"m": (1, 10, 2, 0)})
    return DoneItem(StoredItem(f"outputitem_{row:04}", row, status, b"{}"), counts)
