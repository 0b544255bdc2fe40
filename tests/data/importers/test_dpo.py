from __future__ import annotations

from stillhouse.data.importers.dpo import read_dpo
from tests.data.importers.reading import ANSWER, USER, lines, read

WORSE = {"role": "assistant", "content": "no"}


def test_texts_messages_and_prompts_within_the_answers(tmp_path):
    rows = [
        {"prompt": "where is it", "chosen": "order", "rejected": "no"},
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [WORSE]},
        {"chosen": [USER, ANSWER], "rejected": [USER, WORSE], "score": 3},
    ]
    items, bad = read(read_dpo, lines(tmp_path / "a", *rows))
    assert not bad.count
    assert [(item.messages, item.answer, item.rejected) for item in items] == [((USER,), ANSWER, WORSE)] * 3


def test_rows_that_are_no_pairs_are_bad(tmp_path):
    items, bad = read(read_dpo, lines(tmp_path / "a", {"prompt": "a"}, {"chosen": "a", "rejected": "b"}))
    assert (items, bad.count) == ([], 2)
