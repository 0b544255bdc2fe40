"""Causal language models to be asked: whole ones, and low-rank adapters merged into the model they were made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.load import CausalModel, Dtype, load_causal, load_tokenizer

__all__ = ["SETTINGS", "load_writer"]

SETTINGS = "adapter_config.json"


def load_writer(source: str, dtype: Dtype = "float32") -> CausalModel:
    """A language model by folder or hub id, or by a folder of PEFT adapters, which are merged into their base.

    The base is looked for where the adapters say, by an absolute path, a path beside them, or a hub id. A tokenizer
    beside the adapters, with its chat template, goes before that of the base.
    """
    settings = Path(source) / SETTINGS
    if not settings.is_file():
        return load_causal(source, dtype)
    base = _base_of(settings)
    loaded = load_causal(base, dtype)
    try:
        adapted: Any = PeftModel.from_pretrained(loaded.model, source)  # pyright: ignore[reportArgumentType]
        merged: nn.Module = adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UsageError(
            f"The adapters in {source!r} do not fit their base {base!r}: {str(error).splitlines()[0]} "
            "Give adapters with the model that they were trained on."
        ) from error
    own = (Path(source) / "tokenizer.json").is_file()
    return CausalModel(source, merged.eval(), load_tokenizer(source) if own else loaded.tokenizer)


def _base_of(settings: Path) -> str:
    try:
        base = json.loads(settings.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError) as error:
        raise UsageError(f"{settings} cannot be read: {error}") from error
    if not base:
        raise UsageError(f'{settings} does not say which model the adapters belong to ("base_model_name_or_path").')
    beside = settings.parent / base
    return str(beside) if not Path(base).is_absolute() and beside.is_dir() else str(base)
