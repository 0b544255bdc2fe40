"""A student as an ONNX graph: `input_ids` and `attention_mask` in, `logits` out, any batch and length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.export import Dim

__all__ = ["export_onnx"]

_OPSET = 20


def export_onnx(student: nn.Module, path: Path) -> None:
    """Write `student` to `path` as one self-contained file, the same bytes for the same weights.

    The student is put into evaluation mode. Names of source files and lines, which the exporter leaves
    in the graph, are taken out: they would make the bytes depend on the machine.
    """
    student = student.to("cpu").eval()
    ids = torch.ones(2, 5, dtype=torch.long)
    shapes = {0: Dim("rows", min=1, max=4096), 1: Dim("tokens", min=1, max=4096)}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            student,
            (ids, torch.ones_like(ids)),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": shapes, "attention_mask": shapes},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_origins(model)
    onnx.save_model(model, str(path), save_as_external_data=False)


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
