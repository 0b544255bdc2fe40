"""A process that asks a server many questions; the tests kill it and start it again."""

from __future__ import annotations

import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

from stillhouse.generation.book import Book
from stillhouse.generation.budget import Budget
from stillhouse.generation.desk import Desk
from stillhouse.generation.limits import Limits
from stillhouse.generation.questions import Question, Reply
from stillhouse.teachers.api import Endpoint
from stillhouse.teachers.prices import Price


def main(url: str, folder: str, rows: int, most: str) -> None:
    answered: dict[str, str] = {}
    times: Counter[str] = Counter()

    def keep(reply: Reply) -> None:
        answered[reply.key] = reply.choices[0]["message"]["content"]
        times[reply.key] += 1

    def questions():
        for number in range(rows):
            words = f"question {number}"
            call = {"model": "m", "messages": [{"role": "user", "content": words}], "max_completion_tokens": 10}
            yield Question(words, json.dumps(call).encode())

    budget = Budget(Decimal(most), Price(Decimal("2.50"), Decimal(10)), "job")
    limits = Limits(at_once=16, seconds=0.7, first_wait=0.02)
    tally = Desk(Endpoint(url), Book(Path(folder) / "book.jsonl"), limits, budget).ask(questions(), keep)
    said = {"answered": answered, "times": times, "spent": str(tally.spent), "doubtful": str(tally.doubtful)}
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
