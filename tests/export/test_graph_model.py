"""A graph as a module says what the model says from which it was written."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from stillhouse.errors import UsageError
from stillhouse.export.causal import export_causal
from stillhouse.export.graph import free, write_graph
from stillhouse.export.graph_model import GraphModel


def test_pictures_come_alone(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()
    given = (torch.zeros(2, 1, 8, 8),)
    write_graph(model, tmp_path / "model.onnx", given, (free("rows"),), ["pixel_values"], ["logits"])
    pixels = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        assert torch.allclose(GraphModel(tmp_path / "model.onnx")(pixels), model(pixels), atol=1e-5)


def test_a_language_model_reads_rows_from_their_beginning(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=60, num_key_value_heads=2, **sizes)).eval()
    export_causal(model, tmp_path / "model.onnx")
    ids = torch.randint(60, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    said = GraphModel(tmp_path / "model.onnx")(input_ids=ids, attention_mask=mask)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(said[mask.bool()], expected[mask.bool()], atol=1e-4)


def test_a_graph_that_is_no_student_is_refused(tmp_path):
    write_graph(nn.Linear(4, 2), tmp_path / "model.onnx", (torch.zeros(2, 4),), (free("rows"),), ["x"], ["y"])
    with pytest.raises(UsageError, match="gives y, and none of logits"):
        GraphModel(tmp_path / "model.onnx")
