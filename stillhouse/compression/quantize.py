"""Fewer bits per weight: integer matrices with a scale per output channel, and embeddings of 8 or of 4 bits."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

__all__ = ["quantize"]

BLOCK = 32
"""Numbers of an embedding that share a scale and a zero point when they have 4 bits each."""


def quantize(source: Path, target: Path, embeddings: Literal[4, 8] = 8) -> None:
    """Write the graph at `source` to `target` with int8 matrices and embeddings of 8 or 4 bits.

    Activations are measured as they come. Matrices have per-channel scales: with one scale per matrix a small
    encoder's answers drift several times as far. Tables whose rows are no multiple of 32 numbers have 8 bits.
    """
    with _quiet(), TemporaryDirectory() as folder:
        model = onnx.load(str(source))
        del model.graph.value_info[:]  # the quantiser infers shapes anew and refuses older ones
        if embeddings == 4:
            model = _with_4_bit_tables(model)
        halfway = Path(folder) / "model.onnx"
        onnx.save(model, str(halfway))
        quantize_dynamic(
            halfway,
            target,
            op_types_to_quantize=["MatMul", "Gemm", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )


def _with_4_bit_tables(model: onnx.ModelProto) -> onnx.ModelProto:
    """Look-ups in tables of numbers become look-ups in tables of 4-bit ones."""
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits  # its import sets up logging for everybody

    logging.getLogger().setLevel(logging.ERROR)
    tables = {
        weight.name
        for weight in model.graph.initializer
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 2 and weight.dims[1] % BLOCK == 0
    }
    lookups = [node.name for node in model.graph.node if node.op_type == "Gather" and node.input[0] in tables]
    others = [node.name for node in model.graph.node if node.name not in set(lookups)]
    config = nbits.DefaultWeightOnlyQuantConfig(
        block_size=BLOCK, is_symmetric=False, op_types_to_quantize=("Gather",), quant_axes=(("Gather", 1),)
    )
    quantizer = nbits.MatMulNBitsQuantizer(model, nodes_to_exclude=others, algo_config=config)
    with np.errstate(invalid="ignore", divide="ignore"):  # a row of zeros, as padding has, needs no scale
        quantizer.process()
    quantized: Any = quantizer.model  # wrapped by the quantiser, whatever its annotation says
    return quantized.model


@contextmanager
def _quiet() -> Generator[None]:
    """Without the quantisers' remarks on every tensor; logging is left as it was found."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
