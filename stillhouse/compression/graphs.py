"""ONNX graphs read, written and made ready for fewer bits: norms folded, products with a constant matrix laid bare."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import external_data_helper, helper, numpy_helper

from stillhouse.errors import UsageError

__all__ = [
    "array",
    "attribute",
    "bytes_of",
    "constants",
    "drop_unused",
    "fold_norms",
    "fold_transposes",
    "gemm_to_matmul",
    "name_nodes",
    "put_constant",
    "readers",
    "save_graph",
    "weighted",
]

LARGEST = 2**31 - 1
"""Bytes that one ONNX file may have."""


def bytes_of(path: Path) -> int:
    """The bytes of a graph, those of files beside it that hold its weights included."""
    model = onnx.load(str(path), load_external_data=False)
    beside: set[str] = set()
    for tensor in model.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            beside.add(external_data_helper.ExternalDataInfo(tensor).location)
    return sum(file.stat().st_size for file in (path, *(path.parent / name for name in sorted(beside))))


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph as one file that needs none beside it, whole or not at all."""
    size = model.ByteSize()
    if size > LARGEST:
        raise UsageError(f"The graph has {size / 1e9:.1f} GB, and one ONNX file holds 2. Give its weights fewer bits.")
    waiting = path.with_name(f".{path.name}.part")
    try:
        onnx.save_model(model, str(waiting), save_as_external_data=False)
        waiting.replace(path)
    finally:
        waiting.unlink(missing_ok=True)


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The weights of a graph by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def array(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    """The numbers of a weight."""
    return numpy_helper.to_array(tensor)


def put_constant(model: onnx.ModelProto, name: str, values: npt.NDArray[Any]) -> str:
    """Add a weight and return its name."""
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """What a node says under `name`."""
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node that has no name, or that of another, one of its own: quantisers leave nodes out by name."""
    taken: set[str] = set()
    for place, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{place}"
            while node.name in taken:
                node.name += "_"
        taken.add(node.name)


def readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each tensor, inner graphs' included; the graph's outputs have one reader without a name."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in _every_node(model.graph.node):
        for name in node.input:
            found.setdefault(name, []).append(node)
    for output in model.graph.output:
        found.setdefault(output.name, []).append(onnx.NodeProto())
    return found


def _every_node(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for part in node.attribute:
            for graph in (part.g, *part.graphs):
                yield from _every_node(graph.node)


def weighted(model: onnx.ModelProto, operators: Iterable[str]) -> dict[str, onnx.TensorProto]:
    """The nodes of these operators that have a constant float weight of two or more axes, by name, with that weight."""
    held, wanted = constants(model), set(operators)
    found: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        place = 0 if node.op_type == "Gather" else 1
        weight = held.get(node.input[place]) if node.op_type in wanted and len(node.input) > place else None
        if weight is not None and weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) >= 2:
            found[node.name] = weight
    return found


def drop_unused(model: onnx.ModelProto) -> None:
    """Take out nodes and weights that nothing reads any more."""
    while True:
        read = readers(model)
        idle = [node for node in model.graph.node if not any(name in read for name in node.output)]
        for node in idle:
            model.graph.node.remove(node)
        if not idle:
            break
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def fold_norms(model: onnx.ModelProto) -> int:
    """Put every batch norm that follows a convolution into its weights; how many there were.

    gamma (W x + b - mean) / sqrt(var + eps) + beta = (W s) x + (b - mean) s + beta with s = gamma / sqrt(var + eps).
    """
    held, read = constants(model), readers(model)
    made = {name: node for node in model.graph.node for name in node.output}
    folded = 0
    for norm in [node for node in model.graph.node if node.op_type == "BatchNormalization"]:
        conv = made.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or len(read[norm.input[0]]) > 1:
            continue
        if any(name not in held for name in (*conv.input[1:], *norm.input[1:])):
            continue
        gain, shift, mean, variance = (array(held[name]).astype(np.float64) for name in norm.input[1:5])
        scale = gain / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
        weight = array(held[conv.input[1]]).astype(np.float64)
        bias = array(held[conv.input[2]]).astype(np.float64) if len(conv.input) > 2 else np.zeros(len(scale))
        name = norm.name or norm.output[0]
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        inputs = [
            conv.input[0],
            put_constant(model, f"{name}_weight", weight.astype(np.float32)),
            put_constant(model, f"{name}_bias", ((bias - mean) * scale + shift).astype(np.float32)),
        ]
        del conv.input[:]
        conv.input.extend(inputs)
        conv.output[0] = norm.output[0]
        model.graph.node.remove(norm)
        folded += 1
    if folded:
        drop_unused(model)
    return folded


def fold_transposes(model: onnx.ModelProto) -> None:
    """Write out constant matrices that are only read transposed, as quantisers look for constants alone."""
    held, read = constants(model), readers(model)
    for node in [node for node in model.graph.node if node.op_type == "Transpose" and node.input[0] in held]:
        weight = held[node.input[0]]
        alone = all(other.op_type == "Transpose" for other in read[weight.name])
        if len(weight.dims) == 2 and alone and attribute(node, "perm", [1, 0]) == [1, 0]:
            put_constant(model, node.output[0], array(weight).T)
            model.graph.node.remove(node)
    drop_unused(model)


def gemm_to_matmul(model: onnx.ModelProto, kept: Collection[str] = ()) -> None:
    """Write x W + b as a product and a sum where W is constant, but for the nodes `kept`."""
    found = weighted(model, ["Gemm"])
    nodes = list(model.graph.node)
    for place, node in reversed(list(enumerate(nodes))):
        plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
        if node.name not in found or node.name in kept or attribute(node, "transA", 0) or not plain:
            continue
        weight = array(found[node.name])
        name = put_constant(model, f"{node.name}_matrix", weight.T if attribute(node, "transB", 0) else weight)
        whole, bias = node.output[0], [name for name in node.input[2:] if name]
        product = f"{whole}_product" if bias else whole
        made = [helper.make_node("MatMul", [node.input[0], name], [product], name=node.name)]
        if bias:
            made.append(helper.make_node("Add", [product, bias[0]], [whole], name=f"{node.name}_sum"))
        nodes[place : place + 1] = made
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    drop_unused(model)
