"""Weights in half the bytes: float16 or bfloat16 at rest, and graphs that compute in float16 throughout."""

from __future__ import annotations

import sys
from collections.abc import Collection

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from stillhouse.compression.graphs import array, constants, put_constant, readers
from stillhouse.errors import UsageError

__all__ = ["compute_in_float16", "store_in_half"]

LEAST = 256
"""Numbers that a weight must have to be worth a cast."""


def store_in_half(model: onnx.ModelProto, kept: Collection[str], kind: str) -> None:
    """Large weights at rest in `float16` or `bfloat16`, cast back to float32 before they are used.

    The runtime casts them once, as it opens the graph: answers are those of the rounded weights, as fast as before.
    """
    stored, number = (
        (ml_dtypes.bfloat16, TensorProto.BFLOAT16) if kind == "bfloat16" else (np.float16, TensorProto.FLOAT16)
    )
    read = readers(model)
    casts: list[onnx.NodeProto] = []
    for name, weight in constants(model).items():
        users = read.get(name, [])
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < LEAST or any(u.name in kept for u in users):
            continue
        numbers = array(weight)
        if kind == "float16" and np.abs(numbers).max() > np.finfo(np.float16).max:
            continue
        model.graph.initializer.remove(weight)
        half = f"{name}_half"
        if kind == "bfloat16":
            raw = numbers.astype(stored).tobytes()
            model.graph.initializer.append(helper.make_tensor(half, number, weight.dims, raw, raw=True))
        else:
            put_constant(model, half, numbers.astype(stored))
        casts.append(helper.make_node("Cast", [half], [name], name=f"{name}_whole", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def compute_in_float16(model: onnx.ModelProto, kept: Collection[str]) -> onnx.ModelProto:
    """A graph that computes in float16, but for the nodes `kept`; inputs and outputs stay as they are."""
    before = list(sys.path)
    from onnxruntime.transformers.float16 import convert_float_to_float16  # its folder adds itself to sys.path

    sys.path[:] = before
    try:
        return convert_float_to_float16(model, keep_io_types=True, node_block_list=sorted(kept))
    except ValueError as error:
        raise UsageError(f"The graph cannot compute in float16: {error} Keep its weights in float16 alone.") from error
