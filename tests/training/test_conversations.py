"""Rows of training files as a model reads them: which tokens count, and what becomes of long rows."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from stillhouse.errors import UsageError
from stillhouse.training.conversations import prepare, read_conversations, read_pairs
from tests.jobs.writers import chat, chats, pairs, save_base


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(save_base(tmp_path_factory.mktemp("base")))


def counted(reads, tokenizer, row: int = 0) -> str:
    task = reads.task
    return tokenizer.decode(task.ids[row][task.counted[row]])


def test_answers_count_with_what_ends_them_but_those_of_weight_0(tokenizer):
    first = chat("a", "no")["messages"]
    first[1]["weight"] = 0
    reads = read_conversations([{"messages": [*first, *chat("b", "yes")["messages"]]}], tokenizer, 128)
    assert counted(reads, tokenizer) == "yes<|end|>"
    assert (reads.count, reads.cut) == (1, 0)
    assert reads.tokens == len(reads.task.ids[0])


def test_the_end_of_a_long_row_is_cut_and_rows_without_an_answer_left_are_dropped(tokenizer):
    rows = [chat("a", "x" * 200), chat("a" * 200, "x"), *chats(2)]
    reads = read_conversations(rows, tokenizer, 64)
    assert (reads.count, reads.cut) == (3, 2)
    assert len(reads.task.ids[0]) == 64
    assert set(counted(reads, tokenizer)) == {"x"}
    with pytest.raises(UsageError, match="No row has an answer within the first 64 tokens"):
        read_conversations([chat("a" * 200, "x")], tokenizer, 64)


def test_roles_and_keys_of_other_days_are_read(tokenizer):
    row = {
        "messages": [
            {"role": "developer", "content": "be"},
            {"role": "user", "content": "a", "name": None},
            {"role": "assistant", "function_call": {"name": "f", "arguments": '{"x": 1}'}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": "b"},
        ],
        "functions": [{"name": "f"}],
        "parallel_tool_calls": True,
        "x_ours": 1,
    }
    reads = read_conversations([row], tokenizer, 512)
    text = tokenizer.decode(reads.task.ids[0])
    assert "<system>be" in text
    assert "<tool>1" in text
    assert '"name": "f"' in text
    assert '"arguments"' in counted(reads, tokenizer)


def test_a_template_without_tools_refuses_rows_with_them(tmp_path):
    plain = AutoTokenizer.from_pretrained(
        save_base(tmp_path, template="{% for m in messages %}{{ m.content }}{% endfor %}")
    )
    with pytest.raises(UsageError, match="no place for tools"):
        read_conversations([chat("a", "b", tools=[{"type": "function", "function": {"name": "f"}}])], plain, 64)


def test_a_model_without_a_template_learns_to_end_its_answers(tmp_path):
    bare = AutoTokenizer.from_pretrained(save_base(tmp_path, template=None))
    prepare(bare)
    reads = read_conversations(chats(1), bare, 64)
    assert counted(reads, bare) == "aa<|end|>"
    assert bare.decode(reads.task.ids[0]).startswith("### user\ndouble a\n\n### assistant\naa<|end|>")


def test_a_template_that_forgets_thoughts_makes_a_row_of_each_answer(tmp_path):
    forgets = (
        "{% for m in messages %}<{{ m.role }}>"
        "{% if loop.last or m.role != 'assistant' %}{{ m.content }}{% else %}{{ m.content.split('</think>')[-1] }}"
        "{% endif %}<|end|>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    tokenizer = AutoTokenizer.from_pretrained(save_base(tmp_path, template=forgets))
    row = {"messages": [*chat("a", "<think>x</think>b")["messages"], *chat("c", "<think>y</think>d")["messages"]]}
    reads = read_conversations([row], tokenizer, 128)
    assert reads.count == 2
    assert [counted(reads, tokenizer, at) for at in range(2)] == [
        "<think>x</think>b<|end|>",
        "<think>y</think>d<|end|>",
    ]


def test_pairs_are_read_and_the_long_ones_counted(tokenizer):
    long = pairs(1)[0] | {"preferred_output": [{"role": "assistant", "content": "z" * 200}]}
    reads = read_pairs([*pairs(3), long], tokenizer, 64)
    assert (reads.count, reads.cut) == (4, 1)


def test_the_same_rows_are_read_by_another_tokenizer(tokenizer, tmp_path):
    other = AutoTokenizer.from_pretrained(save_base(tmp_path))
    reads = read_conversations(chats(3), tokenizer, 64, placed=True)
    assert len(reads.by(other).task.ids) == 3
    assert reads.task.reading is not None
