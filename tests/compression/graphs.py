"""Small ONNX graphs made by hand, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

VOCABULARY, WIDTH = 96, 64


def graph(nodes, inputs: Mapping[str, tuple], outputs: Mapping[str, tuple], weights: Mapping[str, np.ndarray]):
    """A model; integers go in where ids or masks are meant, floats elsewhere."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64 if "ids" in name else TensorProto.FLOAT, shape)
                for name, shape in inputs.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )


def random(*shape: int, seed: int = 0, size: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=shape) * size).astype(np.float32)


def convolutional() -> onnx.ModelProto:
    """Two convolutions with batch norms, a sum around the second, a pool and a head: 8 by 8 pictures to 5 labels."""
    nodes, weights = [], {"head": random(5, 16, seed=9), "head_bias": random(5, seed=10)}
    for place, (given, made) in enumerate((("pixel_values", "first"), ("first", "second"))):
        channels = 3 if place == 0 else 16
        weights[f"w{place}"] = random(16, channels, 3, 3, seed=place, size=(9 * channels) ** -0.5)
        for seed, name in enumerate(("gain", "shift", "mean", "variance")):
            values = random(16, seed=10 * place + seed + 20, size=0.3)
            weights[f"{name}{place}"] = np.abs(values) + 0.5 if name in ("gain", "variance") else values
        norm = [f"c{place}", *(f"{name}{place}" for name in ("gain", "shift", "mean", "variance"))]
        nodes += [
            helper.make_node("Conv", [given, f"w{place}"], [f"c{place}"], name=f"conv{place}", pads=[1] * 4),
            helper.make_node("BatchNormalization", norm, [f"n{place}"], name=f"norm{place}", epsilon=1e-5),
            helper.make_node("Relu", [f"n{place}"], [made], name=f"relu{place}"),
        ]
    nodes += [
        helper.make_node("Add", ["first", "second"], ["sum"], name="around"),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "head", "head_bias"], ["logits"], name="head", transB=1),
    ]
    return graph(nodes, {"pixel_values": ("rows", 3, 8, 8)}, {"logits": ("rows", 5)}, weights)


def reader(head: str = "Gemm") -> onnx.ModelProto:
    """A table, a product, a GELU-like bend and a head: ids to 7 labels for each token.

    `head` is `Gemm`, or `tied`: the table once more, transposed.
    """
    weights = {
        "table": random(VOCABULARY, WIDTH),
        "up": random(WIDTH, 2 * WIDTH, seed=1, size=0.2),
        "down": random(2 * WIDTH, WIDTH, seed=2, size=0.2),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"], name="look"),
        helper.make_node("MatMul", ["vectors", "up"], ["wide"], name="up"),
        helper.make_node("Tanh", ["wide"], ["bent"], name="bend"),
        helper.make_node("MatMul", ["bent", "down"], ["states"], name="down"),
    ]
    if head == "tied":
        nodes += [
            helper.make_node("Transpose", ["table"], ["turned"], name="turn", perm=[1, 0]),
            helper.make_node("MatMul", ["states", "turned"], ["logits"], name="head"),
        ]
        return graph(nodes, {"input_ids": ("rows", "tokens")}, {"logits": ("rows", "tokens", VOCABULARY)}, weights)
    weights |= {"head": random(7, WIDTH, seed=3), "bias": random(7, seed=4), "axes": np.array([1])}
    nodes += [
        helper.make_node("ReduceMean", ["states", "axes"], ["mean"], name="mean", keepdims=0),
        helper.make_node("Gemm", ["mean", "head", "bias"], ["logits"], name="head", transB=1),
    ]
    return graph(nodes, {"input_ids": ("rows", "tokens")}, {"logits": ("rows", 7)}, weights)


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def answers(path: Path | onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> np.ndarray:
    source = path.SerializeToString() if isinstance(path, onnx.ModelProto) else path
    return InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, dict(feed))[0]


def pictures(rows: int = 16, seed: int = 5) -> dict[str, np.ndarray]:
    return {"pixel_values": random(rows, 3, 8, 8, seed=seed)}


def ids(rows: int = 16, tokens: int = 9, seed: int = 5) -> dict[str, np.ndarray]:
    return {"input_ids": np.random.default_rng(seed).integers(0, VOCABULARY, (rows, tokens))}


def moved(one: np.ndarray, other: np.ndarray) -> float:
    """||y - y'|| / ||y||."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))
