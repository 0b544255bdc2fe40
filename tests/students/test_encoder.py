"""The encoder student: freezing, and a head taken over."""

from __future__ import annotations

import torch

from stillhouse.students.encoder import EncoderStudent
from tests.models import tiny
from tests.students.families import LABELS, student


def test_the_answer_is_read_from_the_mean_over_the_text():
    made, ids = student("encoder"), tiny.ids(1, 5)
    mean = tiny.states(made.encoder, ids).mean(1)
    assert torch.allclose(made(ids, torch.ones_like(ids)), made.head(mean), atol=1e-5)


def test_frozen_parts_do_not_learn_and_the_others_do():
    made = student("encoder")
    made.freeze(2)
    learning = {name.split(".")[2] for name, weight in made.encoder.encoder.named_parameters() if weight.requires_grad}
    still = {name for name, weight in made.named_parameters() if not weight.requires_grad}
    assert "encoder.embeddings.word_embeddings.weight" in still
    assert {name.split(".")[3] for name in still if ".layer." in name} == {"0", "1"}
    assert learning
    assert "head.weight" not in still


def test_a_head_is_copied_not_shared():
    one, other = student("encoder"), student("encoder-2", seed=1)
    other.head_from(one)
    assert torch.equal(one.head.weight, other.head.weight)
    with torch.no_grad():
        one.head.weight.zero_()
    assert other.head.weight.count_nonzero() > 0


def test_dropout_is_for_training_only():
    made, ids = EncoderStudent(tiny.encoder(), LABELS), tiny.ids(2, 8)
    mask = torch.ones_like(ids)
    made.eval()
    assert torch.equal(made(ids, mask), made(ids, mask))
    made.train()
    assert not torch.equal(made(ids, mask), made(ids, mask))
