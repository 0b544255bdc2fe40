"""Tables that a graph looks up in, as integers: rows of 8 bits with a scale each, blocks of 4, tables tied to heads."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from stillhouse.compression.graphs import array, attribute, constants, drop_unused, put_constant, readers, weighted

__all__ = ["BLOCK", "four_bit_tables", "row_tables", "tied_tables"]

BLOCK = 32
"""Numbers of an embedding that share a scale and a zero point when they have 4 bits each."""


def four_bit_tables(model: onnx.ModelProto, kept: Collection[str] = ()) -> onnx.ModelProto:
    """Look-ups in tables of numbers become look-ups in tables of 4-bit ones, but for the nodes `kept`."""
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits  # its import sets up logging for everybody

    logging.getLogger().setLevel(logging.ERROR)
    tables = {
        weight.name
        for weight in model.graph.initializer
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 2 and weight.dims[1] % BLOCK == 0
    }
    lookups = [node.name for node in model.graph.node if node.op_type == "Gather" and node.input[0] in tables]
    others = [node.name for node in model.graph.node if node.name not in set(lookups) or node.name in kept]
    config = nbits.DefaultWeightOnlyQuantConfig(
        block_size=BLOCK, is_symmetric=False, op_types_to_quantize=("Gather",), quant_axes=(("Gather", 1),)
    )
    quantizer = nbits.MatMulNBitsQuantizer(model, nodes_to_exclude=others, algo_config=config)
    with np.errstate(invalid="ignore", divide="ignore"):  # a row of zeros, as padding has, needs no scale
        quantizer.process()
    quantized: Any = quantizer.model  # wrapped by the quantiser, whatever its annotation says
    return quantized.model


def row_tables(model: onnx.ModelProto, kept: Collection[str] = ()) -> None:
    """Every table becomes int8 rows with a scale each, in standard operators: scale[id] * float(table[id])."""
    held = weighted(model, ["Gather"])
    read = readers(model)
    done: dict[str, tuple[str, str]] = {}
    for node in list(model.graph.node):
        table = held.get(node.name)
        if table is None or node.name in kept or len(table.dims) != 2 or attribute(node, "axis", 0) != 0:
            continue
        if any(other.op_type != "Gather" or other.name in kept for other in read[table.name]):
            continue
        if table.name not in done:
            done[table.name] = _rows_of(model, table)
        _look_up(model, node, *done[table.name])
    drop_unused(model)


def tied_tables(model: onnx.ModelProto, kept: Collection[str] = ()) -> None:
    """A table that is also, transposed, the head of a language model becomes int8 rows once, for both.

    The head's product is of integers: its input is measured as it comes, and row i of the table has the scale of
    output i. Written apart, table and head would take twice the bytes.
    """
    held, read = constants(model), readers(model)
    for name, table in held.items():
        if table.data_type != TensorProto.FLOAT or len(table.dims) != 2:
            continue
        users = read.get(name, [])
        turned = [node for node in users if node.op_type == "Transpose" and attribute(node, "perm", [1, 0]) == [1, 0]]
        lookups = [node for node in users if node.op_type == "Gather" and attribute(node, "axis", 0) == 0]
        heads = [head for node in turned for head in read[node.output[0]]]
        whole = len(turned) + len(lookups) == len(users) and turned and lookups
        if not whole or any(head.op_type != "MatMul" or head.input[0] == head.input[1] for head in heads):
            continue
        if any(node.name in kept for node in (*lookups, *heads)):
            continue
        rows, scale = _rows_of(model, table)
        for node in lookups:
            _look_up(model, node, rows, scale)
        flat = put_constant(model, f"{name}_columns", array(constants(model)[scale]).reshape(-1))
        for node in heads:
            _multiply(model, node, rows, flat)
    drop_unused(model)


def _rows_of(model: onnx.ModelProto, table: onnx.TensorProto) -> tuple[str, str]:
    """A table as int8 rows, each with the scale max |x| / 127; the names of both."""
    numbers = array(table).astype(np.float64)
    scale = np.abs(numbers).max(axis=1, keepdims=True) / 127
    rows = np.rint(numbers / np.where(scale == 0, 1, scale)).astype(np.int8)
    return (
        put_constant(model, f"{table.name}_rows", rows),
        put_constant(model, f"{table.name}_scale", scale.astype(np.float32)),
    )


def _look_up(model: onnx.ModelProto, node: onnx.NodeProto, rows: str, scale: str) -> None:
    name, ids = node.name, node.input[1]
    _replace(
        model,
        node,
        [
            helper.make_node("Gather", [rows, ids], [f"{name}_steps"], name=name, axis=0),
            helper.make_node("Cast", [f"{name}_steps"], [f"{name}_floats"], name=f"{name}_cast", to=TensorProto.FLOAT),
            helper.make_node("Gather", [scale, ids], [f"{name}_scales"], name=f"{name}_scale", axis=0),
            helper.make_node("Mul", [f"{name}_floats", f"{name}_scales"], [node.output[0]], name=f"{name}_times"),
        ],
    )


def _multiply(model: onnx.ModelProto, node: onnx.NodeProto, rows: str, scale: str) -> None:
    """x W^T as integers: x is measured as it comes, (x_q - zero) W_q^T times both scales."""
    name, x = node.name, node.input[0]
    measured = [f"{name}_{part}" for part in ("steps", "step", "zero")]
    _replace(
        model,
        node,
        [
            helper.make_node("Transpose", [rows], [f"{name}_matrix"], name=f"{name}_turn", perm=[1, 0]),
            helper.make_node("DynamicQuantizeLinear", [x], measured, name=f"{name}_measure"),
            helper.make_node(
                "MatMulInteger", [measured[0], f"{name}_matrix", measured[2]], [f"{name}_sums"], name=name
            ),
            helper.make_node("Cast", [f"{name}_sums"], [f"{name}_floats"], name=f"{name}_cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [measured[1], scale], [f"{name}_scales"], name=f"{name}_scale"),
            helper.make_node("Mul", [f"{name}_floats", f"{name}_scales"], [node.output[0]], name=f"{name}_times"),
        ],
    )


def _replace(model: onnx.ModelProto, node: onnx.NodeProto, made: list[onnx.NodeProto]) -> None:
    nodes = list(model.graph.node)
    place = next(place for place, other in enumerate(nodes) if other.output == node.output)
    nodes[place : place + 1] = made
    del model.graph.node[:]
    model.graph.node.extend(nodes)
