"""A student in ONNX Runtime's own format for phones, with the list of operators that its runtime must bring."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from stillhouse.errors import UsageError
from stillhouse.export.folders import written_into
from stillhouse.export.onnx_folder import GRAPH, export_onnx_folder, verify_onnx_folder
from stillhouse.export.subject import Exported, Subject
from stillhouse.export.verify import Parity, Samples

__all__ = ["MODEL", "OPERATORS", "export_ort", "verify_ort", "write_ort"]

MODEL = "model.ort"
OPERATORS = "required_operators_and_types.config"
"""What a reduced build of ONNX Runtime is told by `--include_ops_by_config`."""
_DESKTOP_ONLY = ["NchwcTransformer"]
"""Rewrites of the graph that only processors of the x86 family can run."""


def export_ort(subject: Subject, out: Path) -> Exported:
    """Write `model.ort`, the operators it needs, and what lies beside an ONNX export, into `out`."""
    with written_into(out) as waiting:
        made = export_onnx_folder(subject, waiting)
        graph = waiting / GRAPH
        write_ort(graph, waiting)
        for leftover in (graph, graph.with_name(f"{GRAPH}.data")):
            leftover.unlink(missing_ok=True)
        (waiting / "genai_config.json").unlink(missing_ok=True)  # it names model.onnx
        files = sorted(file.name for file in waiting.iterdir())
    return Exported(tuple(out / name for name in files), tuple(note for note in made.notes if "genai" not in note))


def write_ort(graph: Path, out: Path) -> None:
    """Write `graph` into `out` as `model.ort`, optimised for any processor, and the operators that it needs.

    The weights must be inside the graph: ONNX Runtime's format has them in one file of at most 2 GB.
    """
    if graph.with_name(f"{graph.name}.data").is_file():
        raise UsageError("The model is larger than the 2 GB that ONNX Runtime's format for phones can hold.")
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(out / MODEL)
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ORT")
    try:
        runtime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"], disabled_optimizers=_DESKTOP_ONLY
        )
    except Exception as error:  # ONNX Runtime's own errors have no common class
        raise UsageError(f"ONNX Runtime cannot write {graph.name} in its own format: {str(error)[:300]}") from error
    _write_operators(out / MODEL, out / OPERATORS)


def _write_operators(model: Path, path: Path) -> None:
    """The operators and types of a model, by ONNX Runtime's own reader, without the path that it puts on top."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnxruntime.tools.ort_format_model import (  # pyright: ignore[reportMissingTypeStubs]
            create_config_from_models,
        )

        create_config_from_models([model], path, True)
    told = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    path.write_text("\n".join((f"# Operators and types of {MODEL}", *told)) + "\n", encoding="utf-8")


def verify_ort(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """Run `model.ort` in ONNX Runtime here, and compare it with the student."""
    return verify_onnx_folder(subject, folder, samples, MODEL)
