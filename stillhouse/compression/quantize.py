"""Fewer bits per weight after training: a graph in float32 becomes one of integers or of half floats."""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.shape_inference import infer_shapes
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data

from stillhouse.compression.calibrate import Ranges, Samples, find_ranges
from stillhouse.compression.graphs import (
    bytes_of,
    fold_norms,
    fold_transposes,
    gemm_to_matmul,
    name_nodes,
    save_graph,
    weighted,
)
from stillhouse.compression.half import compute_in_float16, store_in_half
from stillhouse.compression.scheme import Scheme
from stillhouse.compression.tables import four_bit_tables, row_tables, tied_tables
from stillhouse.errors import UsageError

__all__ = ["Prepared", "bytes_of", "prepare", "quantize", "write"]

CONVOLUTIONS = ("Conv", "ConvTranspose")
MATRICES = ("MatMul", "Gemm", *CONVOLUTIONS)
"""Operators with a weight that static quantisation makes integers of."""
BETWEEN = ("Add", "AveragePool", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "Relu", "Clip", "Reshape")
"""Operators between convolutions through which integers flow on."""


@final
@dataclass(frozen=True)
class Prepared:
    """A float graph made ready for a scheme, and the ranges of its activations where the scheme needs them."""

    model: onnx.ModelProto
    ranges: Ranges
    operators: tuple[str, ...]
    """What static quantisation turns into integers."""
    nodes: tuple[str, ...]
    """The nodes with weights that the scheme gives fewer bits, in the order of the graph."""


def quantize(source: Path, target: Path, scheme: Scheme | None = None, samples: Samples | None = None) -> None:
    """Write the graph at `source` to `target` with as many bits as `scheme` says; by default `int8`.

    `int8` and `int8-static` give matrices per-channel scales: with one scale per matrix a small encoder's answers drift
    several times as far. Tables of 4 bits have rows of a multiple of 32 numbers; others get 8. The file is written
    whole or not at all, needs none beside it, and has the same bytes for the same inputs. Samples are needed for
    `int8-static`; UsageError says so, and where they belong to another task.
    """
    scheme = scheme or Scheme()
    write(prepare(source, scheme, samples), target, scheme)


def prepare(source: Path, scheme: Scheme, samples: Samples | None = None) -> Prepared:
    """Open a float graph for `scheme`, and measure its activations where the scheme needs that."""
    try:
        model = onnx.load(str(source))
    except DecodeError as error:
        raise UsageError(f"{source} is no ONNX graph, or was cut off: {error} Export the student again.") from error
    del model.graph.value_info[:]  # the quantiser infers shapes anew and refuses older ones
    name_nodes(model)
    unknown = sorted(set(scheme.keep) - {node.name for node in model.graph.node})
    if unknown:
        raise UsageError(
            f"The graph has no node {', '.join(unknown[:3])} to be kept as it is. Nodes with weights are "
            f"{', '.join(_candidates(model, scheme)[:5])} and so on."
        )
    fold_transposes(model)
    operators: tuple[str, ...] = ()
    ranges: Ranges = {}
    if scheme.needs_samples:
        if samples is None:
            raise UsageError(
                f"The form {scheme.name} measures activations on samples, and there are none. Give a few hundred real "
                "inputs, or choose int8, which measures them as they come."
            )
        fold_norms(model)
        model = infer_shapes(model)
        operators = _integer_operators(model)
        ranges = find_ranges(model, _activations(model, operators), samples, scheme.method, scheme.percentile)
    return Prepared(model, ranges, operators, _candidates(model, scheme))


def write(prepared: Prepared, target: Path, scheme: Scheme) -> None:
    """Write a prepared graph to `target` in the form of `scheme`, which may keep other nodes than when prepared."""
    model = onnx.ModelProto()
    model.CopyFrom(prepared.model)
    with _quiet(), TemporaryDirectory() as name:
        folder, kept = Path(name), scheme.keep
        if scheme.tables < 32:
            tied_tables(model, kept)
        if scheme.tables == 4:
            model = four_bit_tables(model, kept)
        if scheme.tables < 32 and scheme.matrices != "int8":
            row_tables(model, kept)
        if scheme.matrices == "int8":
            model = _dynamic(model, folder, scheme)
        elif scheme.matrices == "int8-static":
            model = _static(model, folder, scheme, prepared)
        elif scheme.matrices == "int4":
            model = _four_bit_matrices(model, scheme)
        elif scheme.arithmetic:
            model = compute_in_float16(model, kept)
        elif scheme.matrices != "float32":
            store_in_half(model, kept, scheme.matrices)
        save_graph(model, target)


def _dynamic(model: onnx.ModelProto, folder: Path, scheme: Scheme) -> onnx.ModelProto:
    onnx.save(model, str(folder / "model.onnx"))
    quantize_dynamic(
        folder / "model.onnx",
        folder / "integers.onnx",
        op_types_to_quantize=["MatMul", "Gemm", *(["Gather"] if scheme.tables < 32 else [])],
        per_channel=True,
        reduce_range=scheme.narrow,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*scheme.keep, *(f"{name}_MatMul" for name in scheme.keep)],  # what becomes of a Gemm
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
    )
    return onnx.load(str(folder / "integers.onnx"))


def _static(model: onnx.ModelProto, folder: Path, scheme: Scheme, prepared: Prepared) -> onnx.ModelProto:
    """Quantise and dequantise around what is to be integers, which the runtime fuses into integer kernels."""
    floats = {name: (np.float32(low), np.float32(high)) for name, (low, high) in prepared.ranges.items()}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, floats), folder / "ranges.json")  # pyright: ignore[reportArgumentType]
    onnx.save(model, str(folder / "model.onnx"))
    quantize_static(
        folder / "model.onnx",
        folder / "integers.onnx",
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(prepared.operators),
        per_channel=True,
        reduce_range=scheme.narrow,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*scheme.keep, *_between_floats(model, scheme.keep)],
        extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        calibration_cache_path=folder / "ranges.json",
    )
    return onnx.load(str(folder / "integers.onnx"))


def _four_bit_matrices(model: onnx.ModelProto, scheme: Scheme) -> onnx.ModelProto:
    """Products with a constant matrix have weights of 4 bits, in blocks along what is summed."""
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits  # its import sets up logging for everybody

    logging.getLogger().setLevel(logging.ERROR)
    gemm_to_matmul(model, scheme.keep)
    config = nbits.DefaultWeightOnlyQuantConfig(
        block_size=scheme.block, is_symmetric=False, accuracy_level=4, op_types_to_quantize=("MatMul",)
    )
    quantizer = nbits.MatMulNBitsQuantizer(model, nodes_to_exclude=list(scheme.keep), algo_config=config)
    with np.errstate(invalid="ignore", divide="ignore"):
        quantizer.process()
    quantized: Any = quantizer.model
    return quantized.model


def _integer_operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """Matrices alone, or in a graph made of convolutions also what lies between them.

    In a transformer, whose sums hold a few very large numbers, only the products are integers.
    """
    count = {name: len(weighted(model, [name])) for name in MATRICES}
    convolutional = count["Conv"] > 1 and count["Conv"] >= count["MatMul"]
    return (*MATRICES, *BETWEEN) if convolutional else MATRICES


def _between_floats(model: onnx.ModelProto, kept: Collection[str]) -> list[str]:
    """Nodes between convolutions that do not get integers alone: to make integers for them would only lose."""
    held = {tensor.name for tensor in model.graph.initializer}
    convolutions = weighted(model, CONVOLUTIONS)
    integers: set[str] = set()
    found: list[str] = []
    for node in model.graph.node:
        flows = node.op_type in BETWEEN and {name for name in node.input if name and name not in held} <= integers
        if node.name not in kept and (flows or node.name in convolutions):
            integers.update(node.output)
        elif node.op_type in BETWEEN:
            found.append(node.name)
    return found


def _activations(model: onnx.ModelProto, operators: Collection[str]) -> list[str]:
    """The float tensors that go in and out of these operators, weights not counted."""
    held = {tensor.name for tensor in model.graph.initializer}
    known = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    floats = {value.name for value in known if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    names = [name for node in model.graph.node if node.op_type in operators for name in (*node.input, *node.output)]
    return [name for name in dict.fromkeys(names) if name in floats and name not in held]


def _candidates(model: onnx.ModelProto, scheme: Scheme) -> tuple[str, ...]:
    wanted = {"int8": ("MatMul", "Gemm"), "int4": ("MatMul", "Gemm")}.get(scheme.matrices, MATRICES)
    wanted = (*(wanted if scheme.matrices != "float32" else ()), *(("Gather",) if scheme.tables < 32 else ()))
    return tuple(weighted(model, wanted))


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
