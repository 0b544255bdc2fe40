"""Pairs of answers as batches: both rows side by side, the same prompt, only answers count."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.objectives.preference import DPO, SimPO
from stillhouse.tasks.chat import read_chat
from stillhouse.tasks.pairs import pair_of
from stillhouse.tasks.preference import read_preferences
from stillhouse.training.batch import epoch_batches
from stillhouse.training.source import Share
from tests.models.writers import writer
from tests.tasks.talk import talker

PAIRS = [
    {"prompt": "Where is my parcel? ", "chosen": "It is on its way.", "rejected": "the quick brown fox jumps over"},
    {"prompt": [{"role": "user", "content": "Thank you!"}], "chosen": "You are welcome.", "rejected": "Yes."},
    {"prompt": "Is it raining in Ulm? ", "chosen": "Yes, it is.", "rejected": "No"},
    {"prompt": "the lazy dog ", "chosen": "jumps", "rejected": "jumps over the quick brown fox over the lazy dog"},
]


def words(tokenizer, ids) -> str:
    return tokenizer.decode([number for number in ids.tolist() if number >= 0])


def test_both_rows_of_a_pair_stand_side_by_side_the_better_first():
    tokenizer = talker()
    task = read_preferences(PAIRS, tokenizer)
    batch = task.batch([3, 1])
    assert batch.rows.tolist() == [3, 3, 1, 1]
    assert [words(tokenizer, labels) for labels in batch.labels] == [
        "jumps<|end|>",
        "jumps over the quick brown fox over the lazy dog<|end|>",
        "You are welcome.<|end|>",
        "Yes.<|end|>",
    ]
    assert (task.pairs, task.vocabulary) == (4, len(tokenizer))
    assert task.length(3) == task.answers.length(7) > task.answers.length(6)
    assert torch.equal(task.asked(batch), batch.labels >= 0)


def test_each_row_is_the_one_that_answers_are_learnt_from():
    tokenizer = talker()
    task = read_preferences(PAIRS, tokenizer)
    plain = read_chat([row for pair in PAIRS for row in pair_of(pair)], tokenizer)
    assert all(mine.tolist() == its.tolist() for mine, its in zip(task.answers.ids, plain.ids, strict=True))
    assert all(mine.tolist() == its.tolist() for mine, its in zip(task.answers.counted, plain.counted, strict=True))


def test_nothing_that_deals_out_samples_parts_a_pair():
    task = read_preferences(PAIRS, talker())
    model = writer("llama", tokens=len(talker()))
    for size in (1, 2, 3):
        for rows in epoch_batches(range(4), task.length, size, 0, 0):
            for share in (Share(0, 2, 2), Share(1, 2, 2), Share(parts=3)):
                for piece in share.of(rows):
                    batch = task.batch(piece)
                    said = task.output(model, batch, Layers())
                    assert SimPO()(said, None, batch).count.item() == len(piece)


def test_a_long_pair_loses_the_same_part_of_its_prompt():
    tokenizer = talker(begin=True)
    long = {**PAIRS[3], "prompt": "the quick brown fox jumps over the lazy dog " * 6}
    whole = read_preferences([long], tokenizer)
    most = whole.length(0)
    task = read_preferences([long], tokenizer, tokens=most - 5)
    better, worse = task.answers.ids
    assert len(worse) == most - 5
    assert better[0] == worse[0] == tokenizer.bos_token_id
    prompts = [len(ids) - int(flags.sum()) for ids, flags in zip(task.answers.ids, task.answers.counted, strict=True)]
    assert prompts[0] == prompts[1]
    assert better[: prompts[0]].tolist() == worse[: prompts[0]].tolist()
    assert better[prompts[0] :].tolist() == whole.answers.ids[0][-len(better) + prompts[0] :].tolist()


def test_a_long_answer_loses_its_end_and_half_of_the_room_is_the_prompts():
    tokenizer = talker()
    long = {**PAIRS[3], "rejected": "the quick brown fox jumps over the lazy dog " * 6}
    task = read_preferences([long], tokenizer, tokens=8)
    _, worse = task.answers.ids
    assert len(worse) == 8
    prompt = 8 - int(task.answers.counted[1].sum())
    assert 0 < prompt <= 4
    whole = read_preferences([long], tokenizer).answers.ids[1]
    start = len(whole) - int(read_preferences([long], tokenizer).answers.counted[1].sum())
    assert worse.tolist() == whole[start - prompt : start + 8 - prompt].tolist()


@torch.no_grad()
def test_rows_that_share_lines_say_the_same():
    tokenizer = talker()
    model = writer("llama", tokens=len(tokenizer))
    found = []
    for packed in (False, True):
        task = read_preferences(PAIRS, tokenizer, packed=packed)
        batch = task.batch([0, 1, 2, 3])
        found.append(SimPO()(task.output(model, batch, Layers()), None, batch).total)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert DPO().needs > SimPO().needs


def test_rows_that_cannot_be_read_are_named():
    with pytest.raises(UsageError, match="Row 1: Both answers of the pair are the same"):
        read_preferences([PAIRS[0], {**PAIRS[0], "rejected": PAIRS[0]["chosen"]}], talker())
    with pytest.raises(UsageError, match=r"Of the worse answers: Row 1: .*completion is empty"):
        read_preferences([PAIRS[0], {**PAIRS[0], "rejected": ""}], talker())
    with pytest.raises(UsageError, match="4 tokens or more"):
        read_preferences(PAIRS, talker(), tokens=3)
