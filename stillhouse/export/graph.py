"""A torch module as an ONNX graph, the same bytes for the same weights: what every export to ONNX is made with."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.export import Dim

from stillhouse.errors import UsageError

__all__ = ["DATA", "OPSET", "free", "write_graph"]

OPSET = 20
MOST = 1_900_000_000
"""Bytes of weights that one file takes; protobuf ends at 2 GiB."""
DATA = ".data"
"""Weights beyond that lie beside the graph, in a file of its name with this behind it."""


def free(*names: str) -> dict[int, Any]:
    """The first axes of an input, whose lengths are free, by their names; equal names are equal lengths."""
    return {axis: Dim(name, min=1, max=1 << 20) for axis, name in enumerate(names)}


def write_graph(
    module: nn.Module,
    path: Path,
    given: tuple[Any, ...],
    axes: tuple[Any, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """Write `module`, called with `given` (tensors, or tuples of them), to `path`; `axes` says which sizes are free.

    `axes` has the form of `given`, each tensor's free axes by number in the place of the tensor; `inputs` and
    `outputs` name the tensors in order. It is one self-contained file, or, beyond 1.9 GB, one with its weights beside
    it. The module is put into evaluation mode, so that an export never leaves it elsewhere. Names of source files and
    lines, which the exporter leaves in the graph, are taken out: they would make the bytes depend on the machine.
    """
    module.eval()
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            given,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=axes,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _check_inputs(model, inputs)
    _forget_origins(model)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if weights <= MOST:
        onnx.save_model(model, str(path), save_as_external_data=False)
    else:
        onnx.save_model(
            model, str(path), save_as_external_data=True, all_tensors_to_one_file=True, location=path.name + DATA
        )


def _check_inputs(model: onnx.ModelProto, inputs: Sequence[str]) -> None:
    """Make sure that the graph reads all that the module was given: an input that it leaves out cannot be fed."""
    absent = sorted(set(inputs) - {entry.name for entry in model.graph.input})
    if absent:
        raise UsageError(f"The graph does not read {', '.join(absent)}: this model does not use it.")


def _forget_origins(model: onnx.ModelProto) -> None:
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in model.functions:
        for part in (function, *function.node):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


@contextmanager
def _quiet() -> Generator[None]:
    """The exporter's notes (no torchvision here, a deprecated call of its own there) concern no user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
