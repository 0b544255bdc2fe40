"""Questions asked twice as batches: each row knows its part, and StepByStep learns both."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers, TeacherOutput
from stillhouse.objectives.rationale import StepByStep
from stillhouse.tasks.chat import read_chat
from stillhouse.tasks.rationale import read_rationales
from tests.models.writers import writer
from tests.tasks.talk import TEMPLATES, talker

ROWS = [
    {"prompt": "Where is my parcel? ", "completion": "On its way.", "rationale": "It is on its way."},
    {"prompt": "Is it raining in Ulm? ", "completion": "Yes", "rationale": None},
    {"messages": [{"role": "user", "content": "Thank you!"}, {"role": "assistant", "content": "You are welcome."}],
     "rationale": "Be kind."},
]  # fmt: skip


def test_rows_know_their_sample_and_their_part():
    tokenizer = talker()
    task = read_rationales(ROWS, tokenizer)
    batch = task.batch([2, 1, 0])
    assert (task.samples, task.vocabulary) == (3, len(tokenizer))
    assert batch.rows.tolist() == [2, 2, 1, 0, 0]
    assert batch.parts.tolist() == [0, 1, 0, 0, 1]
    words = [tokenizer.decode([token for token in labels.tolist() if token >= 0]) for labels in batch.labels]
    assert words == [
        "You are welcome.<|end|>",
        "Be kind.<|end|>",
        "Yes<|end|>",
        "On its way.<|end|>",
        "It is on its way.<|end|>",
    ]
    texts = [tokenizer.decode(ids) for ids in batch.inputs["input_ids"]]
    assert [text.count("explain: ") for text in texts] == [0, 1, 0, 0, 1]
    assert task.length(0) == max(len(ids) for ids in task.texts.ids[:2])
    assert torch.equal(task.asked(batch), batch.labels >= 0)


def test_the_answer_is_asked_for_as_it_will_be_in_use():
    task, plain = read_rationales(ROWS[:2], talker()), read_chat(ROWS[:2], talker())
    assert [task.texts.ids[task.first[row]].tolist() for row in (0, 1)] == [ids.tolist() for ids in plain.ids]


def test_both_questions_are_learnt_each_over_its_own_tokens():
    tokenizer = talker()
    model = writer("llama", tokens=len(tokenizer))
    losses = []
    for packed in (False, True):
        task = read_rationales(ROWS, tokenizer, packed=packed)
        batch = task.batch([0, 1, 2])
        loss = StepByStep()(task.output(model, batch, Layers()), TeacherOutput(), batch)
        answers, reasons = (int((batch.labels[batch.parts == part] >= 0).sum()) for part in (0, 1))
        assert loss.count.tolist() == [answers, reasons]
        losses.append(loss.total.detach())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-4)


def test_rows_that_cannot_be_read_are_named():
    with pytest.raises(UsageError, match="Row 1: A row of rationales needs"):
        read_rationales([ROWS[0], {"text": "a", "rationale": "b"}], talker())
    tokenizer = talker()
    tokenizer.chat_template = TEMPLATES["plain"].replace("message['content']", "message['content'].replace('kind', '')")
    with pytest.raises(UsageError, match=r"Of the rationales alone: Row 1: .*loses what the assistant says"):
        read_rationales(ROWS, tokenizer)
    with pytest.raises(UsageError, match="Two prefixes tell the two questions apart"):
        read_rationales(ROWS, talker(), prefixes=("", ""))
