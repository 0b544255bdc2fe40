"""The rows of training files: what may be in them, and the code and words for what may not."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.training_rows import BadTrainingFile, read_training_rows

USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
GOOD = {"messages": [USER, ASSISTANT]}
PAIR = {"input": {"messages": [USER]}, "preferred_output": [ASSISTANT], "non_preferred_output": [ASSISTANT]}


def read(rows: list, method: str = "supervised", which: str = "training", fewest: int = 1) -> list:
    return list(read_training_rows([json.dumps(row).encode() for row in rows], method, which, fewest))


def test_rows_of_every_kind_are_read():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    rows = [
        GOOD,
        {"messages": [{"role": "developer", "content": "x"}, USER, ASSISTANT | {"weight": 0}, USER, ASSISTANT]},
        {"messages": [USER, {"role": "assistant", "tool_calls": [call]}], "tools": tools, "parallel_tool_calls": False},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}, ASSISTANT], "x_teacher": [1]},
        {"messages": [USER, {"role": "assistant", "function_call": {"name": "f"}}], "functions": [{"name": "f"}]},
    ]
    assert read(rows) == rows
    assert read([PAIR], "dpo") == [PAIR]


def test_the_older_names_of_pairs_are_read():
    old = {"input": PAIR["input"], "preferred_completion": [ASSISTANT], "non_preferred_completion": [ASSISTANT]}
    assert read([old], "dpo") == [PAIR]


def test_empty_lines_are_passed_over():
    line = json.dumps(GOOD).encode()
    assert len(list(read_training_rows([line, b"\n", b"  \n", line], "supervised", "training", 2))) == 2


def messages(*turns) -> dict:
    return {"messages": list(turns)}


WRONG = {
    "no list": ({"messages": "x"}, "Example 1, messages must be a list"),
    "empty": ({"messages": []}, "Example 1, messages must be a list"),
    "no messages": ({"text": "x"}, 'Example 1 is missing key "messages"'),
    "legacy": ({"prompt": "a", "completion": "b"}, "in the fine-tune-completion format, but the job has method=superv"),
    "role": (messages({"role": "bot", "content": "x"}, ASSISTANT), "message 1 has the unknown role 'bot'"),
    "no role": (messages(USER, {"content": "x"}), "message 2 Discriminator 'role' is missing"),
    "content": (messages({"role": "user"}, ASSISTANT), "message 1 has no content"),
    "number": (messages({"role": "user", "content": 5}, ASSISTANT), "neither a string nor a list"),
    "part": (messages({"role": "user", "content": [{"type": "sound"}]}, ASSISTANT), "unknown type 'sound'"),
    "image": (messages(USER, {"role": "assistant", "content": [{"type": "image_url"}]}), "must not have"),
    "weight": (messages(USER, ASSISTANT | {"weight": 0.5}), "has a weight"),
    "their weight": (messages(USER | {"weight": 1}, ASSISTANT), "has a weight"),
    "nobody": (messages(USER), "has no assistant message to learn from"),
    "all 0": (messages(USER, ASSISTANT | {"weight": 0}), "only assistant messages of weight 0"),
    "tools": (GOOD | {"tools": []}, '"tools" must be a list of 1 to 128'),
    "array": ([GOOD], "Example 1 is not a JSON object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row_is_an_invalid_training_file(name):
    row, words = WRONG[name]
    with pytest.raises(BadTrainingFile, match="The job failed due to an invalid training file") as refused:
        read([row])
    assert refused.value.code == "invalid_training_file"
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("row", "method", "words"),
    [
        (GOOD | {"label": 1}, "supervised", 'Example 1 contains an extra "label".'),
        (messages(USER | {"id": 1}, ASSISTANT), "supervised", 'message 1 contains an extra "id".'),
        (PAIR | {"chosen": 1}, "dpo", 'Example 1 contains an extra "chosen".'),
    ],
)
def test_an_unknown_key_is_an_invalid_file_format(row, method, words):
    with pytest.raises(BadTrainingFile) as refused:
        read([row], method)
    assert refused.value.code == "invalid_file_format"
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (GOOD, "in the fine-tune-chat format, but the job has method=dpo"),
        ({"input": {"messages": [USER]}, "preferred_output": [ASSISTANT]}, 'missing key "non_preferred_output"'),
        (PAIR | {"input": {}}, '"input" is missing key "messages"'),
        (PAIR | {"preferred_output": [ASSISTANT, ASSISTANT]}, "exactly one assistant message"),
        (PAIR | {"preferred_output": [USER]}, "exactly one assistant message"),
    ],
)
def test_a_wrong_pair_is_an_invalid_training_file(row, words):
    with pytest.raises(BadTrainingFile) as refused:
        read([row], "dpo")
    assert refused.value.code == "invalid_training_file"
    assert words in str(refused.value)


def test_too_few_rows_have_a_code_of_their_own():
    with pytest.raises(BadTrainingFile) as refused:
        read([GOOD] * 9, fewest=10)
    assert refused.value.code == "invalid_n_examples"
    assert str(refused.value) == "Training file has 9 example(s), but must have at least 10 examples"
    assert len(read([GOOD], which="validation", fewest=10)) == 1


def test_all_that_is_wrong_with_a_validation_file_has_its_code():
    with pytest.raises(BadTrainingFile, match="invalid validation file") as refused:
        read([GOOD | {"label": 1}], which="validation")
    assert refused.value.code == "invalid_validation_file"
