"""Subject: a student to be exported, and what its inputs and answers mean; Exported: what an exporter has written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from stillhouse.bundle.manifest import Manifest
from stillhouse.errors import UsageError

__all__ = ["Exported", "Kind", "Logits", "Subject", "copy_files", "refuse_kind"]

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@final
class Kind(StrEnum):
    """What a student does."""

    CLASSIFIER = "classifier"
    IMAGE = "image"
    EMBEDDING = "embedding"
    LANGUAGE_MODEL = "language-model"


@final
@dataclass(frozen=True)
class Subject:
    """A student to be exported: its module and what its inputs and answers mean."""

    kind: Kind
    module: nn.Module
    """In float32 and evaluation mode. A classifier's takes `(input_ids, attention_mask)` `[rows, tokens]` and gives
    logits `[rows, all labels]`; that of the other kinds is the Transformers model itself."""
    family: str
    """`words`, `static` or `encoder` for bundles; else the Transformers `model_type`: `bert`, `llama`, `vit`, ..."""
    folder: Path
    """The folder it comes from."""
    labels: tuple[tuple[str, ...], ...]
    """What each answer may be, field by field, as people read it; empty for embeddings and language models."""
    tokenizer: Path | None
    """Its `tokenizer.json`."""
    config: Mapping[str, Any]
    """The Transformers configuration as JSON; the sizes of a words or static student."""
    manifest: Manifest | None = None
    """Of a bundle: temperatures, threshold, how its prompts and answers are read."""

    @property
    def fields(self) -> tuple[int, ...]:
        """How many labels each field has."""
        return tuple(map(len, self.labels))

    @property
    def transformer(self) -> nn.Module | None:
        """The Transformers model inside; None for words and static students."""
        if isinstance(self.module, Logits):
            return self.module.model
        if self.manifest is None:
            return self.module
        encoder = getattr(self.module, "encoder", None)
        return encoder if isinstance(encoder, nn.Module) else None


@final
@dataclass(frozen=True)
class Exported:
    """What an exporter has written, and what whoever uses it should know."""

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@final
class Logits(nn.Module):
    """A Transformers classifier that gives its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def refuse_kind(subject: Subject, target: str, *taken: Kind) -> None:
    """Stop where a subject is none of the kinds that an exporter takes."""
    if subject.kind not in taken:
        raise UsageError(f"{subject.folder} is of the kind {subject.kind}; {target} takes: {', '.join(taken)}.")


def copy_files(subject: Subject, out: Path, beside: Sequence[str] = ()) -> None:
    """Copy a student's tokenizer, and of the files named in `beside` those that lie in its folder."""
    wanted = [subject.folder / name for name in beside]
    wanted += [subject.tokenizer.parent / name for name in TOKENIZER] if subject.tokenizer else []
    for file in wanted:
        if file.is_file():
            shutil.copyfile(file, out / file.name)
