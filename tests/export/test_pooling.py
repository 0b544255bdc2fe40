"""Vectors are those of Sentence-Transformers, whatever its folder says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling as TheirPooling

from stillhouse.errors import UsageError
from stillhouse.export.pooling import MODES, Stack, open_stack
from tests.models import tiny

TEXTS = ["refund my money", "the parcel is late please", "now"]


def states() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
    return torch.randn(3, 4, 5), mask


@pytest.mark.parametrize("modes", [*((mode,) for mode in MODES), ("cls", "mean"), ("max", "lasttoken")], ids=str)
def test_each_way_is_theirs_wherever_padding_lies(modes):
    given, mask = states()
    theirs = TheirPooling(5, modes if len(modes) > 1 else modes[0])
    expected = theirs({"token_embeddings": given, "attention_mask": mask})["sentence_embedding"]
    assert torch.allclose(Stack(modes, normalised=False)(given, mask), expected, atol=1e-6)


def test_normalised_vectors_have_length_one():
    assert torch.allclose(Stack()(*states()).norm(dim=-1), torch.ones(3))


def folder(path: Path, *parts: tuple[str, dict]) -> Path:
    """A Sentence-Transformers folder with these parts behind its encoder."""
    tiny.save(path, tiny.encoder(), tiny.wordpiece())
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for at, (kind, config) in enumerate(parts, 1):
        listed.append({"idx": at, "name": str(at), "path": f"{at}", "type": f"sentence_transformers.models.{kind}"})
        (path / str(at)).mkdir()
        (path / str(at) / "config.json").write_text(json.dumps(config))
    (path / "modules.json").write_text(json.dumps(listed))
    return path


POOLING = ("Pooling", {"word_embedding_dimension": 32, "pooling_mode_cls_token": True})


def test_pooling_dense_and_length_are_read_as_sentence_transformers_reads_them(tmp_path):
    dense = {
        "in_features": 32,
        "out_features": 7,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    place = folder(tmp_path / "a", POOLING, ("Dense", dense), ("Normalize", {}))
    torch.manual_seed(1)
    layer = torch.nn.Linear(32, 7)
    from safetensors.torch import save_file

    save_file(
        {f"linear.{name}": value for name, value in layer.state_dict().items()}, place / "2" / "model.safetensors"
    )
    theirs = SentenceTransformer(str(place), device="cpu")
    model, tokenizer = tiny.encoder(), tiny.wordpiece()
    tokenizer.enable_padding(pad_id=0)
    read = tokenizer.encode_batch(TEXTS)
    ids, mask = (torch.tensor([getattr(one, name) for one in read]) for name in ("ids", "attention_mask"))
    with torch.no_grad():
        found = open_stack(place)(tiny.states(model, ids, mask), mask).numpy()
    assert np.allclose(found, theirs.encode(TEXTS), atol=1e-5)
    assert found.shape == (3, 7)


def test_a_folder_that_says_nothing_means_the_mean(tmp_path):
    stack = open_stack(tmp_path)
    assert (stack.modes, stack.normalised, len(stack.dense)) == (("mean",), True, 0)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([("LSTM", {})], "has a part 'LSTM'"),
        ([("Pooling", {"pooling_mode": "median"})], "pools by median"),
        ([("Pooling", {"pooling_mode": "mean", "include_prompt": False})], "leaves prompts out"),
        (
            [POOLING, ("Dense", {"in_features": 2, "out_features": 2, "activation_function": "torch.nn.Softsign"})],
            "dense",
        ),
        ([POOLING, ("Dense", {"in_features": 2, "out_features": 2})], "cannot be read"),
    ],
)
def test_what_is_not_known_is_refused(parts, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        open_stack(folder(tmp_path / "a", *parts))
