from __future__ import annotations

from stillhouse.data.importers.alpaca import read_alpaca
from stillhouse.data.items import Kind
from tests.data.importers.reading import ANSWER, USER, lines, read


def test_instruction_input_history_and_system(tmp_path):
    row = {
        "instruction": "Sort.",
        "input": "where is it",
        "output": "order",
        "system": "Be short.",
        "history": [["a", "b"]],
    }
    [item], _ = read(read_alpaca, lines(tmp_path / "a", row))
    assert [each["role"] for each in item.messages] == ["system", "user", "assistant", "user"]
    assert (item.text, item.answer) == ("Sort.\n\nwhere is it", ANSWER)
    plain, _ = read(read_alpaca, lines(tmp_path / "b", {"instruction": "where is it", "input": "", "output": "order"}))
    assert (plain[0].messages, plain[0].kind) == ((USER,), Kind.CHAT)


def test_two_answers_and_bad_rows(tmp_path):
    rows = [
        {"instruction": "a", "chosen": "b", "rejected": "c"},
        {"output": "x"},
        {"instruction": 7},
        {"instruction": "a", "history": ["b"]},
    ]
    [item], bad = read(read_alpaca, lines(tmp_path / "a", *rows))
    assert (item.kind, bad.count) == (Kind.PREFERENCE, 3)
