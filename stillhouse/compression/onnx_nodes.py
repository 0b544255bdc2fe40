"""The ONNX nodes that integers become while a module is exported: written as such, since torch has no words for them.

Outside an export to ONNX these give zeros: who calls them asks `torch.onnx.is_in_onnx_export()` first.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, float32, uint8
from torch.onnx.ops import symbolic

__all__ = ["dequantize", "multiply_blocks", "round_trip"]

IN_FLOATS = 1
"""MatMulNBits' `accuracy_level` at which inputs stay as they are; others would round them once more."""


def round_trip(values: Tensor, step: Tensor, zero: Tensor) -> Tensor:
    """`values` to uint8 and back: step * (clamp(round(x / step) + zero) - zero)."""
    rounded = symbolic("QuantizeLinear", (values, step, zero), dtype=uint8, shape=values.shape)
    return symbolic("DequantizeLinear", (rounded, step, zero), dtype=float32, shape=values.shape)


def dequantize(values: Tensor, steps: Tensor, axis: int = 0) -> Tensor:
    """An int8 weight as floats, with a step for each place of `axis`."""
    return symbolic("DequantizeLinear", (values, steps), {"axis": axis}, dtype=float32, shape=values.shape)


def multiply_blocks(inputs: Tensor, values: Tensor, steps: Tensor, numbers: int, width: int) -> Tensor:
    """`[..., numbers]` times a weight packed in blocks `[outputs, groups, bytes]`: `[..., outputs]`."""
    outputs, _, packed = values.shape
    attributes: dict[str, Any] = {
        "K": numbers,
        "N": outputs,
        "bits": width,
        "block_size": packed * 8 // width,
        "accuracy_level": IN_FLOATS,
    }
    shape = (*inputs.shape[:-1], outputs)
    return symbolic(
        "com.microsoft::MatMulNBits",
        (inputs, values, steps.flatten()),
        attributes,
        dtype=float32,
        shape=shape,
        version=1,
    )
