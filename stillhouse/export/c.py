"""A student as C99 that depends on nothing: fixed memory, whole numbers; compiled and compared where a compiler is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export.c_build import Footprint, Program, find_compiler, lines_of, measure, require_compiler
from stillhouse.export.c_image import image_source
from stillhouse.export.c_integer import Bytes, Look, quantise
from stillhouse.export.c_layers import read_layers, run_layers
from stillhouse.export.c_readme import read_me
from stillhouse.export.c_source import Answers, Source, write_folder
from stillhouse.export.c_text import text_source
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.export.verify import Parity, Samples, Tolerance, answers, compare, shares
from stillhouse.models.pictures import processor_beside, shades_of

__all__ = [
    "C_TOLERANCE",
    "Look",
    "export_c",
    "export_image_c",
    "look_beside",
    "no_compiler",
    "verify_c",
    "verify_image_c",
]

NO_COMPILER = "There is no C compiler here, so nothing was compiled: sizes and answers are not verified."
C_TOLERANCE = Tolerance(agreement=0.97, difference=0.1)
"""Weights of 8 bits move probabilities, and answers of rows that lie between two labels."""
SAME = 1e-3
"""How far the layers that were read from a module may be from the module itself, in its scores' own spread."""


def export_c(subject: Subject, out: Path, pixels: Bytes | None = None) -> Exported:
    """Write a subject as C99 into the folder `out`: a bundle's words or static student, or an image classifier.

    `pixels` `[rows, height, width, channels]`: real pictures by which the ranges of an image student's maps are
    chosen. The folder is there whole or not at all; what could be measured of it is in `student.json` and the notes.
    """
    refuse_kind(subject, "c", Kind.CLASSIFIER, Kind.IMAGE)
    if subject.kind is Kind.CLASSIFIER:
        return _write(text_source(subject), out, subject.folder.name)
    if pixels is None:
        raise UsageError(
            "An image student in C computes in whole numbers, whose ranges are chosen by a few hundred real pictures. "
            "Give them as a .npz file with `images`: --pictures FILE"
        )
    return export_image_c(subject.module, out, pixels, subject.labels[0], look_beside(subject))


def export_image_c(
    module: nn.Module, out: Path, pixels: Bytes, labels: Sequence[str], look: Look | None = None
) -> Exported:
    """Write a convnet as C99 into the folder `out`, its weights and maps as int8 (`quantise`).

    `module` takes pictures `[rows, channels, height, width]` as `look` says and gives logits `[rows, labels]`. `pixels`
    `[rows, height, width, channels]` or `[rows, height, width]` are real ones: by them the ranges of maps are chosen.
    """
    look, pixels = look or Look(), _checked(pixels)
    shape = (pixels.shape[3], pixels.shape[1], pixels.shape[2])
    if not {len(look.mean), len(look.std)} <= {1, shape[0]}:
        raise UsageError(f"The pictures have {shape[0]} channels; mean {look.mean} and std {look.std} are of others.")
    layers = read_layers(module, shape)
    if layers[-1].after[0] != len(labels):
        raise UsageError(f"The student has {layers[-1].after[0]} labels, and {len(labels)} names are given.")
    seen = look.seen(pixels[:8])
    with torch.no_grad():
        expected, found = _logits(module, seen), run_layers(layers, seen)[layers[-1].output][:, :, 0, 0]
    apart = float((expected - found).abs().max())
    if not apart <= SAME * max(1.0, float(expected.abs().max())):
        raise ExportMismatch(f"The layers read from {type(module).__name__} differ from it by {apart:.2g} in scores.")
    network = quantise(layers, shape, look, pixels)
    source = image_source(network, Answers((tuple(labels),), (1.0,)))
    about = {**source.about, "look": asdict(look), "calibrated_on": len(pixels)}
    return _write(replace(source, about=about), out, type(module).__name__)


def no_compiler() -> str | None:
    """What is missing to compare a student in C with the trained one, if anything is."""
    try:
        require_compiler()
    except UsageError as error:
        return str(error)
    return None


def verify_c(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """The student in `folder`, compiled and run on `samples`, compared with the student itself."""
    compiler = require_compiler()
    given = _bytes_of(samples, look_beside(subject)) if subject.kind is Kind.IMAGE else lines_of(samples.texts)
    with Program(folder, compiler) as program:
        found = program.scores(given)
    if len(found) != samples.rows:
        raise ExportMismatch(f"The student in {folder} answered {len(found)} rows of {samples.rows}.")
    return compare(answers(subject, samples), shares(found.astype(np.float32), subject.fields))


def verify_image_c(module: nn.Module, folder: Path, pixels: Bytes, look: Look | None = None) -> Parity:
    """The image student in `folder`, compiled and run on pictures, compared with the module that it was made from."""
    compiler, pixels, look = require_compiler(), _checked(pixels), look or Look()
    with Program(folder, compiler) as program:
        found = program.scores(pixels.tobytes())
    with torch.no_grad():
        parts = [_logits(module.eval(), look.seen(pixels[at : at + 256])) for at in range(0, len(pixels), 256)]
    return compare(shares(torch.cat(parts).numpy(), ()), shares(found.astype(np.float32), ()))


def look_beside(subject: Subject) -> Look:
    """How an image classifier sees pictures, by the processor beside it; with mean and std 0.5 where there is none."""
    return Look(*shades_of(processor_beside(subject.folder)).of_whole)


def _bytes_of(samples: Samples, look: Look) -> bytes:
    """The bytes of pictures that are given as the student sees them."""
    if samples.pixels is None:
        raise UsageError("This student reads pictures, and the samples are none.")
    mean, std = (np.asarray(part)[:, None, None] for part in (look.mean, look.std))
    values = np.clip(np.rint((samples.pixels * std + mean) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(values, 1, -1)).tobytes()


def _checked(pixels: Bytes) -> Bytes:
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or not len(pixels):
        raise UsageError(
            "Pictures must be bytes [rows, height, width] or [rows, height, width, channels]; these are "
            f"{pixels.dtype} {list(pixels.shape)}."
        )
    return np.ascontiguousarray(pixels if pixels.ndim == 4 else pixels[..., None])


def _logits(module: nn.Module, values: torch.Tensor) -> torch.Tensor:
    said: Any = module(values)
    return getattr(said, "logits", said)


def _write(source: Source, out: Path, name: str) -> Exported:
    """The folder written, and measured where there is a compiler."""
    compiler = find_compiler()
    about: dict[str, Any] = {
        "student": name,
        "kind": source.kind,
        "labels": [list(part) for part in source.answers.labels],
        "temperatures": list(source.answers.temperatures),
        **source.about,
    }
    footprint, note = _measured(source, compiler) if compiler else (None, NO_COMPILER)
    about["footprint"] = asdict(footprint) if footprint else None
    files = replace(source, read_me=read_me(source, name, footprint)).files()
    return Exported(tuple(write_folder(out, files, about)), (note,))


def _measured(source: Source, compiler: str) -> tuple[Footprint | None, str]:
    """What it takes, and the same in words; where it cannot be measured here, why."""
    with TemporaryDirectory() as scratch:
        for name, text in source.files().items():
            (Path(scratch) / name).write_text(text, encoding="utf-8")
        try:
            found = measure(Path(scratch), compiler)
        except (ExportMismatch, UsageError) as error:  # no `size`, or a compiler that takes other options
            return None, f"Flash and RAM could not be measured here: {error}"
    return found, found.sentence
