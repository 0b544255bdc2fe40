"""Texts become vectors; likeness compares encoders; the folder opens in Sentence-Transformers with the same vectors."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import PreTrainedTokenizerFast

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.tasks.embedding import EmbeddingTask, Pooling, embed, likeness, read_texts, save_sentence_encoder
from tests.models import tiny

TEXTS = ["where is my parcel", "refund the money please", "late", "the parcel is late now", "my money back"]


def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tiny.wordpiece(), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def test_texts_are_read_by_either_kind_of_tokenizer():
    one, two = read_texts(TEXTS, tokenizer()), read_texts(TEXTS, tiny.wordpiece())
    assert [row.tolist() for row in one.ids] == [row.tolist() for row in two.ids]
    short = [*one.ids[0][:3].tolist(), 3]
    for reads in (tokenizer(), tiny.wordpiece()):
        assert read_texts(TEXTS, reads, tokens=4).ids[0].tolist() == short
    with pytest.raises(UsageError, match="Text 1 is empty"):
        read_texts(["late", " "], tokenizer())


@pytest.mark.parametrize("pooling", Pooling)
def test_states_are_pooled_over_a_rows_own_tokens(pooling):
    model, task = tiny.encoder(), read_texts(TEXTS, tokenizer(), pooling=pooling, normalised=False)
    together = task.output(model, task.batch(range(5)), Layers()).features.embedding
    for row in range(5):
        ids = torch.from_numpy(task.ids[row]).unsqueeze(0)
        states = tiny.states(model, ids)[0]
        expected = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling]
        assert torch.allclose(together[row], expected, atol=1e-5)


def test_vectors_have_length_one_if_wanted_and_nothing_is_asked():
    task = read_texts(TEXTS, tokenizer())
    batch = task.batch([2, 0])
    said = task.output(tiny.encoder(), batch, Layers(hidden=frozenset({1})))
    assert torch.allclose(said.features.embedding.norm(dim=-1), torch.ones(2), atol=1e-5)
    assert said.features.hidden[1].shape[0] == 2
    assert said.scores is None
    assert not task.asked(batch).any()
    assert task.length(0) == len(task.ids[0])


def test_all_texts_are_embedded_in_their_order():
    model, task = tiny.encoder(), read_texts(TEXTS, tokenizer())
    found = embed(model, task, size=2)
    for row in range(5):
        alone = task.output(model, task.batch([row]), Layers()).features.embedding[0]
        assert torch.allclose(found[row], alone, atol=1e-5)


def test_likeness_of_the_same_is_one_whichever_way_it_is_turned():
    vectors = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    assert likeness(vectors, vectors) == pytest.approx({"cosine": 1, "neighbours": 1, "spearman": 1}, abs=1e-5)
    turned = vectors @ torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    found = likeness(turned, vectors)
    assert (found["neighbours"], found["spearman"]) == (1, pytest.approx(1, abs=1e-5))
    assert found["cosine"] < 0.9


def test_likeness_is_by_hand():
    student = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.2, 0.9]])
    teacher = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.1, 0.9, 0], [0.9, 0.2, 0]])
    found = likeness(student, teacher, neighbours=1)
    assert found["neighbours"] == 0
    assert "cosine" not in found
    pairs = np.triu_indices(4, 1)
    alike = [torch.nn.functional.normalize(side, dim=-1) for side in (student, teacher)]
    similar = [(side @ side.T).numpy()[pairs] for side in alike]
    assert found["spearman"] == pytest.approx(spearmanr(*similar).statistic, abs=1e-5)


def test_ties_share_their_ranks():
    student = torch.eye(4)  # all pairs alike
    teacher = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    mixed = torch.cat([student, torch.tensor([[1.0, 1, 0, 0]])])
    both = torch.cat([teacher, torch.randn(1, 3, generator=torch.Generator().manual_seed(1))])
    pairs = np.triu_indices(5, 1)
    alike = [torch.nn.functional.normalize(side, dim=-1) for side in (mixed, both)]
    similar = [(side @ side.T).numpy()[pairs] for side in alike]
    assert likeness(mixed, both)["spearman"] == pytest.approx(spearmanr(*similar).statistic, abs=1e-5)


def test_vectors_of_other_texts_are_not_compared():
    with pytest.raises(UsageError, match="5 and 4"):
        likeness(torch.ones(5, 2), torch.ones(4, 2))


def test_a_model_without_states_is_refused():
    task = EmbeddingTask([np.array([5, 6])])

    class Mute(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            return {}

    with pytest.raises(UsageError, match="Mute"):
        task.output(Mute(), task.batch([0]), Layers())


def test_the_folder_says_how_vectors_are_made(tmp_path):
    task = read_texts(TEXTS, tokenizer(), pooling=Pooling.CLS, normalised=False)
    save_sentence_encoder(tmp_path, tiny.encoder(), tokenizer(), task, tokens=20)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [(module["idx"], module["path"]) for module in modules] == [(0, ""), (1, "1_Pooling")]
    pooling = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert [name for name, there in pooling.items() if there is True] == ["pooling_mode_cls_token"]
    assert (tmp_path / "model.safetensors").is_file()
    with pytest.raises(UsageError, match="Transformers"):
        save_sentence_encoder(tmp_path, tiny.encoder(), tiny.wordpiece(), task)


needs_sentence_transformers = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="needs sentence-transformers, which is not installed"
)


@needs_sentence_transformers
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("normalised", [True, False])
def test_sentence_transformers_opens_the_folder_and_gives_the_same_vectors(pooling, normalised, tmp_path):
    from sentence_transformers import SentenceTransformer

    model, given = tiny.encoder(), tokenizer()
    task = read_texts(TEXTS, given, 12, pooling, normalised)
    save_sentence_encoder(tmp_path, model, given, task, tokens=12)
    opened = SentenceTransformer(str(tmp_path), device="cpu")
    assert opened.max_seq_length == 12
    assert opened.get_embedding_dimension() == 32
    theirs = opened.encode(TEXTS, convert_to_tensor=True)
    assert torch.allclose(theirs, embed(model, task), atol=1e-4)
