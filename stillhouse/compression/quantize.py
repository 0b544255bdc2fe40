"""Fewer bits per weight: 8-bit integers, one scale per output channel, activations measured as they come."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

__all__ = ["quantize_int8"]


def quantize_int8(source: Path, target: Path) -> None:
    """Write the graph at `source` to `target` with int8 matrices and 8-bit embeddings.

    Per-channel scales: with one scale per matrix a small encoder's answers drift several times as far.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        model = onnx.load(str(source))
        del model.graph.value_info[:]  # the quantiser infers shapes anew and refuses older ones
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=["MatMul", "Gemm", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )
    finally:
        root.setLevel(level)
