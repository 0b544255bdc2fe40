"""One graph reads a prompt of any length and writes token by token as Transformers does."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.export.causal import cache_of, export_causal, genai_config
from stillhouse.export.onnx_folder import decode
from tests.models import kinds, tiny, writers


def greedy(model, ids: torch.Tensor, tokens: int) -> list[int]:
    """What the model writes when it reads everything anew for each token, without any cache."""
    for _ in range(tokens):
        with torch.no_grad():
            ids = torch.cat([ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    return ids[0, -tokens:].tolist()


QUICK = ("gpt2", "llama")
"""Learnt positions, rotated ones, and windows that slide; every other family is tested where minutes do not count."""


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds.CAUSAL]
)
def test_it_writes_what_the_model_writes(kind, tmp_path):
    model = kinds.make(kind)
    cache = export_causal(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == cache.inputs
    assert [one.name for one in session.get_outputs()] == cache.outputs
    for length in (1, 2, 9):
        ids = tiny.ids(1, length, seed=length)
        written, first = decode(session, cache, ids[0].numpy(), 6)
        with torch.no_grad():
            expected = model(input_ids=ids).logits[0, -1].numpy()
        assert np.abs(first - expected).max() < 2e-4
        assert written == greedy(model, ids, 6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama"])
def test_rows_of_different_lengths_are_read_at_once(kind, tmp_path):
    model = kinds.make(kind)
    cache = export_causal(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    ids, mask = tiny.ids(3, 7), torch.ones(3, 7, dtype=torch.long)
    mask[1, :4] = 0  # padded on the left, as for writing
    places = (mask.cumsum(1) - 1).clamp(min=0)
    empty = {name: np.zeros((3, heads, 0, size), dtype=np.float32) for name, heads, size in _past(cache)}
    feed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy(), "position_ids": places.numpy(), **empty}
    found = session.run(["logits"], feed)[0]
    with torch.no_grad():
        alone = model(input_ids=ids[1:2, 4:]).logits[0].numpy()
    assert np.abs(found[1, 4:] - alone).max() < 2e-4


def _past(cache):
    for at, (heads, size) in enumerate(zip(cache.heads, cache.size, strict=True)):
        for part in ("key", "value"):
            yield f"past_key_values.{at}.{part}", heads, size


def test_a_model_that_keeps_something_else_is_refused():
    with pytest.raises(UsageError, match="mamba model does not keep keys and values"):
        cache_of(writers.writer("mamba"))


def test_the_layout_of_onnxruntime_genai():
    model = kinds.make("qwen3")
    config = model.config.to_dict()
    layout = genai_config(config, cache_of(model))
    assert layout is not None
    decoder = layout["model"]["decoder"]
    assert layout["model"]["type"] == "qwen3"
    assert (decoder["num_hidden_layers"], decoder["num_key_value_heads"], decoder["head_size"]) == (3, 2, 8)
    assert decoder["inputs"]["past_key_names"] % 2 == "past_key_values.2.key"
    assert decoder["outputs"]["present_value_names"] % 0 == "present.0.value"
    assert layout["model"]["eos_token_id"] == 3
    assert genai_config({**config, "model_type": "gpt_neox"}, cache_of(model)) is None
