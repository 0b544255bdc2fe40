"""Each node does in ONNX Runtime what its torch twin does, to the bit."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from stillhouse.compression import onnx_nodes
from stillhouse.compression.fake_quantize import on_grid
from stillhouse.export.graph import write_graph


class RoundTrip(nn.Module):
    def __init__(self, step: float, zero: int) -> None:
        super().__init__()
        self.register_buffer("step", torch.tensor(step))
        self.register_buffer("zero", torch.tensor(zero, dtype=torch.uint8))

    def forward(self, values: Tensor) -> Tensor:
        return onnx_nodes.round_trip(values, self.step, self.zero)


class Dequantized(nn.Module):
    def __init__(self, values: Tensor, steps: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("steps", steps)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * onnx_nodes.dequantize(self.values, self.steps)


def run(module: nn.Module, name: str, given: Tensor, path, axes=None) -> np.ndarray:
    write_graph(module, path, (given,), (axes or {},), [name], ["made"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: given.numpy()})[0]


@pytest.mark.parametrize(("step", "zero"), [(0.0173, 0), (0.031, 129), (1e-3, 255)])
def test_inputs_are_rounded_as_in_training(step, zero, tmp_path):
    values = torch.randn(4001, generator=torch.Generator().manual_seed(0)) * step * 200
    values[:512] = (torch.arange(512) - 256 + 0.5) * step  # halves, where rounding goes wrong first
    twin = on_grid(values, torch.tensor(step), torch.tensor(-float(zero)), torch.tensor(255.0 - zero))
    assert np.array_equal(run(RoundTrip(step, zero), "values", values, tmp_path / "q.onnx", {0: "count"}), twin.numpy())


def test_weights_come_out_as_in_training(tmp_path):
    values = torch.randint(-128, 128, (7, 5, 3, 3), dtype=torch.int8)
    steps = torch.rand(7)
    twin = values.float() * steps.view(-1, 1, 1, 1)
    found = run(Dequantized(values, steps), "inputs", torch.ones(7, 5, 3, 3), tmp_path / "dq.onnx")
    assert np.array_equal(found, twin.numpy())
