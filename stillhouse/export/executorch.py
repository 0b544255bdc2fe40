"""A student as one `.pte` file for ExecuTorch, PyTorch's runtime for phones and boards; and its check in Python."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim

from stillhouse.errors import UsageError
from stillhouse.export.folders import written_into
from stillhouse.export.onnx_folder import image_size
from stillhouse.export.pooling import Stack, open_stack
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.export.verify import Parity, Samples, Tolerance, answers, compare, compare_vectors, shares
from stillhouse.extras import require

__all__ = ["FORMS", "INT8_TOLERANCE", "MODEL", "SIGNATURE", "export_executorch", "run_executorch", "verify_executorch"]

Floats = npt.NDArray[np.float32]

MODEL, SIGNATURE = "model.pte", "signature.json"
FORMS = ("f32", "int8")
INT8_TOLERANCE = Tolerance(agreement=0.97, difference=0.1)
"""Weights and maps of 8 bits move probabilities, and answers of pictures that lie between two labels."""
LONGEST = 128
"""Tokens of the longest text where neither the bundle nor the model says fewer."""


@final
class _Answer(nn.Module):
    """A student that takes plain tensors and gives one: what a runtime without Python can call."""

    def __init__(self, model: nn.Module, kind: Kind, stack: Stack | None) -> None:
        super().__init__()
        self.model, self.kind, self.stack = model, kind, stack

    def forward(self, *given: Tensor) -> Tensor:
        if self.kind is Kind.IMAGE:
            return self.model(pixel_values=given[0]).logits
        if self.stack is None:
            return self.model(*given)
        return self.stack(self.model(input_ids=given[0], attention_mask=given[1]).last_hidden_state, given[1])


def export_executorch(
    subject: Subject, out: Path, quantize: str = "f32", calibration: Floats | None = None
) -> Exported:
    """Write `out/model.pte`, which runs one image or one text at a time on the CPU (XNNPACK).

    Image students can be held in int8; `calibration` are real images as the student sees them, `[rows, channels,
    height, width]`, by which the ranges of what layers hand on are chosen. Raises UsageError for what is not lowered.
    """
    require("executorch", "write .pte files")
    refuse_kind(subject, "executorch", Kind.CLASSIFIER, Kind.IMAGE, Kind.EMBEDDING)
    if quantize not in FORMS:
        raise UsageError(f"ExecuTorch files are written as {', '.join(FORMS)}, not as {quantize!r}.")
    if quantize == "int8" and (subject.kind is not Kind.IMAGE or calibration is None):
        raise UsageError(
            "In int8 image students are written, and calibrated on real images. Give a few hundred as a .npz file with "
            "`images`: --pictures FILE. Texts stay in f32: export them to executorch."
        )
    stack = open_stack(subject.folder) if subject.kind is Kind.EMBEDDING else None
    module = _Answer(subject.module, subject.kind, stack).eval()
    given, free = _example(subject)
    with _quiet():
        try:
            if calibration is not None and quantize == "int8":
                module = _integers(module, given, calibration)
            buffer = _lower(module, given, free)
        except (RuntimeError, ValueError, NotImplementedError, AssertionError) as error:
            raise UsageError(
                f"ExecuTorch cannot take this {subject.family} student: {str(error).strip().splitlines()[0][:300]} "
                "Export it to onnx or ort."
            ) from error
    return _write(subject, out, buffer, given)


def _example(subject: Subject) -> tuple[tuple[Tensor, ...], tuple[Any, ...] | None]:
    """Inputs of the right sizes, and which of these are free."""
    if subject.kind is Kind.IMAGE:
        return (torch.zeros(1, *image_size(subject)),), None
    tokens = Dim("tokens", min=2, max=_longest(subject))
    ids = torch.ones(1, min(16, _longest(subject)), dtype=torch.long)
    return (ids, torch.ones_like(ids)), ({1: tokens}, {1: tokens})


def _longest(subject: Subject) -> int:
    if subject.manifest is not None:
        return subject.manifest.featurizer.max_tokens
    return min(LONGEST, int(subject.config.get("max_position_embeddings") or LONGEST))


def _lower(module: nn.Module, given: tuple[Tensor, ...], free: Any) -> bytes:
    """The program of a module, what XNNPACK can run handed to it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (  # pyright: ignore[reportMissingImports]
        XnnpackPartitioner,
    )
    from executorch.exir import to_edge_transform_and_lower  # pyright: ignore[reportMissingImports]

    program = torch.export.export(module, given, dynamic_shapes=None if free is None else (free,))
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return bytes(edge.to_executorch().buffer)


def _integers(module: nn.Module, given: tuple[Tensor, ...], calibration: Floats) -> Any:
    """The module with weights in int8, one scale for each output, and with what layers hand on in int8 too."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (  # pyright: ignore[reportMissingImports]
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import (  # pyright: ignore[reportMissingImports]
        convert_pt2e,
        prepare_pt2e,
    )

    traced = torch.export.export(module, given).module()
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(traced, quantizer)
    with torch.no_grad():
        for row in calibration:
            prepared(torch.from_numpy(row).unsqueeze(0))
    return convert_pt2e(prepared)


def _write(subject: Subject, out: Path, buffer: bytes, given: Sequence[Tensor]) -> Exported:
    names = ("pixel_values",) if subject.kind is Kind.IMAGE else ("input_ids", "attention_mask")
    told = {
        "kind": subject.kind.value,
        "inputs": [
            {"name": name, "type": str(one.dtype).removeprefix("torch."), "shape": list(one.shape)}
            for name, one in zip(names, given, strict=True)
        ],
        "longest": None if subject.kind is Kind.IMAGE else _longest(subject),
        "labels": [list(labels) for labels in subject.labels],
    }
    with written_into(out) as waiting:
        (waiting / MODEL).write_bytes(buffer)
        text = json.dumps(told, indent=1, ensure_ascii=False)
        (waiting / SIGNATURE).write_text(text + "\n", encoding="utf-8")
        if subject.tokenizer is not None:
            shutil.copyfile(subject.tokenizer, waiting / subject.tokenizer.name)
        files = sorted(file.name for file in waiting.iterdir())
    notes = ("Run here by ExecuTorch's Python runtime on this processor; on no phone or board.",)
    return Exported(tuple(out / name for name in files), notes)


def run_executorch(path: Path, rows: Sequence[tuple[npt.NDArray[Any], ...]]) -> Floats:
    """What a `.pte` file answers to rows of inputs, one after the other `[rows, ...]`."""
    require("executorch", "run .pte files")
    with _quiet():
        from executorch.runtime import Runtime  # pyright: ignore[reportMissingImports]

        method = Runtime.get().load_program(str(path)).load_method("forward")
        if method is None:
            raise UsageError(f"{path} has no method `forward`.")
        said = [method.execute([torch.from_numpy(np.ascontiguousarray(one)) for one in row])[0] for row in rows]
        return torch.cat([one.reshape(1, -1) for one in said]).numpy()


def verify_executorch(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """Run `model.pte` in ExecuTorch's runtime for Python, and compare it with the student."""
    if samples.pixels is not None:
        rows: list[tuple[npt.NDArray[Any], ...]] = [(image[None],) for image in samples.pixels]
    else:
        longest = _longest(subject)
        pairs = [ids if len(ids) > 1 else np.append(ids, 0) for ids in (row[:longest] for row in samples.ids)]
        rows = [
            (ids[None], (np.arange(len(ids)) < len(own)).astype(np.int64)[None])
            for ids, own in zip(pairs, samples.ids, strict=True)
        ]
    said = run_executorch(folder / MODEL, rows)
    expected = answers(subject, samples)
    if subject.kind is Kind.EMBEDDING:
        return compare_vectors(expected[0], said)
    return compare(expected, shares(said, subject.fields))


@contextmanager
def _quiet() -> Generator[None]:
    """ExecuTorch logs much while it lowers, and torch warns of what ExecuTorch still calls."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
