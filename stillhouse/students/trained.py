"""A student as it was trained, on the disk: its float32 weights, and a record from which its module is built again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CONFIG_MAPPING, AutoModel

from stillhouse.errors import BundleError, UsageError
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.static import StaticStudent
from stillhouse.students.student import Student
from stillhouse.students.words import WordsStudent

__all__ = ["RECORD", "WEIGHTS", "Build", "load_trained", "record_of", "save_trained"]

WEIGHTS, RECORD = "student.safetensors", "student.json"
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError, SafetensorError)
"""What a torn, altered or foreign file raises while it is read."""


@final
@dataclass(frozen=True)
class Build:
    """What a student's module is built from, without its weights."""

    family: str
    """`words`, `static` or `encoder`."""
    labels: int
    """Labels of all fields together."""
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    """`words`: `buckets`; `static`: `tokens` and `width`."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """`encoder`: the configuration of its Transformers model."""


def record_of(student: nn.Module) -> Build:
    """What `student` is built from; raises UsageError where that cannot be said."""
    if isinstance(student, WordsStudent):
        buckets, labels = student.table.weight.shape
        return Build("words", labels, {"buckets": buckets})
    if isinstance(student, StaticStudent):
        tokens, width = student.vectors.weight.shape
        return Build("static", student.head.out_features, {"tokens": tokens, "width": width})
    if isinstance(student, EncoderStudent):
        written: Any = student.encoder.config
        config = json.loads(written.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)  # a path of the machine that made it
        config["dtype"] = "float32"  # of the weights beside it, whatever they were read from
        return Build("encoder", student.head.out_features, config=config)
    raise UsageError(f"{type(student).__name__} is no student of the ladder: only words, static and encoder-K are.")


def save_trained(student: nn.Module, folder: Path) -> None:
    """Write `student.safetensors` and `student.json` into `folder`, the same bytes for the same student."""
    text = json.dumps(asdict(record_of(student)), indent=1, sort_keys=True, ensure_ascii=False)
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in student.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def load_trained(folder: Path) -> tuple[Student, Build]:
    """The student that `save_trained` wrote, in evaluation mode, and what it was built from.

    Raises BundleError where a file is missing, damaged, or does not fit the other.
    """
    for name in (WEIGHTS, RECORD):
        if not (folder / name).is_file():
            raise BundleError(f"{folder} holds no {name}, the student as it was trained. Distil again.")
    try:
        build = Build(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
        student = _module(build)
        student.load_state_dict(load_file(folder / WEIGHTS))
    except _DAMAGE as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise BundleError(f"The student in {folder} cannot be built again: {told} Distil again.") from error
    return student.eval(), build


def _module(build: Build) -> Student:
    """A student of these sizes; its weights are yet to come."""
    with torch.random.fork_rng(devices=[]):
        if build.family == "words":
            return WordsStudent(build.sizes["buckets"], build.labels)
        if build.family == "static":
            return StaticStudent(torch.zeros(build.sizes["tokens"], build.sizes["width"]), build.labels)
        if build.family == "encoder":
            config = CONFIG_MAPPING[build.config["model_type"]].from_dict(dict(build.config))
            encoder: Any = AutoModel.from_config(config, dtype=torch.float32)
            if isinstance(getattr(encoder, "pooler", None), nn.Module):
                encoder.pooler = None  # a head of its pretraining, which no student reads
            return EncoderStudent(encoder, build.labels)
    raise ValueError(f"no family of students is called {build.family!r}.")
