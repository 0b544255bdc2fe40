"""Blocks, embeddings and positions are found in every architecture, and cutting them changes nothing else."""

from __future__ import annotations

import pytest
import torch
from transformers import AlbertConfig, AlbertModel

from stillhouse.errors import UsageError
from stillhouse.models.layers import blocks, keep_blocks, keep_positions, token_embedding
from tests.models import tiny

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


def without(model, dropped: set[int]) -> None:
    """Let the dropped blocks hand on what they were given."""
    for index in dropped:
        blocks(model)[index].register_forward_hook(
            lambda module, given, answer: (given[0], *answer[1:]) if isinstance(answer, tuple) else given[0]
        )


@every_architecture
def test_the_blocks_and_the_token_table_are_found(architecture):
    model = tiny.encoder(architecture)
    assert len(blocks(model)) == tiny.BLOCKS
    assert token_embedding(model).weight.shape == (tiny.TOKENS, 32)


@every_architecture
@pytest.mark.parametrize("kept", [(0, 1, 2), (0, 2), (0,)])
def test_a_cut_encoder_answers_as_the_whole_one_with_the_other_blocks_passed_over(architecture, kept):
    whole, cut, ids = tiny.encoder(architecture), tiny.encoder(architecture), tiny.ids(2, 12)
    keep_blocks(cut, kept)
    without(whole, set(range(tiny.BLOCKS)) - set(kept))
    assert torch.equal(tiny.states(cut, ids), tiny.states(whole, ids))
    assert len(blocks(cut)) == cut.config.num_hidden_layers == len(kept)


def test_a_cut_encoder_can_be_saved_and_loaded(tmp_path):
    model, ids = tiny.encoder("modernbert"), tiny.ids(2, 12)
    keep_blocks(model, (0, 2))
    model.save_pretrained(tmp_path)
    assert torch.equal(tiny.states(type(model).from_pretrained(tmp_path).eval(), ids), tiny.states(model, ids))


def test_an_encoder_whose_layers_share_a_block_is_refused():
    shared = AlbertModel(AlbertConfig(**tiny.SIZES, embedding_size=16))
    with pytest.raises(UsageError, match="AlbertModel has no stack with a block for each of its 3 layers"):
        blocks(shared)


@every_architecture
def test_cut_positions_still_serve_texts_that_fit(architecture):
    whole, cut = tiny.encoder(architecture), tiny.encoder(architecture)
    keep_positions(cut, 16)
    ids, mask = tiny.ids(2, 16), torch.ones(2, 16, dtype=torch.long)
    mask[1, 9:] = 0
    ids[1, 9:] = 0
    assert torch.equal(tiny.states(cut, ids, mask), tiny.states(whole, ids, mask))


@pytest.mark.parametrize(
    ("architecture", "left"), [("bert", 16), ("distilbert", 16), ("deberta", 16), ("roberta", 18), ("mpnet", 18)]
)
def test_learnt_positions_become_few(architecture, left):
    model = tiny.encoder(architecture)
    keep_positions(model, 16)
    assert model.config.max_position_embeddings == left
    assert model.embeddings.position_embeddings.num_embeddings == left


def test_rotary_positions_are_left_alone():
    model = tiny.encoder("modernbert")
    keep_positions(model, 16)
    assert model.config.max_position_embeddings == tiny.POSITIONS


def test_positions_are_never_added():
    model = tiny.encoder()
    keep_positions(model, 1_000)
    assert model.config.max_position_embeddings == tiny.POSITIONS


def test_positions_that_do_not_learn_stay_so():
    model = tiny.encoder("distilbert")
    model.embeddings.position_embeddings.weight.requires_grad_(False)  # as sinusoidal ones are
    keep_positions(model, 16)
    assert not model.embeddings.position_embeddings.weight.requires_grad
