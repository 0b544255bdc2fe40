"""What follows the Transformers model in a Sentence-Transformers folder: pooling, dense layers, length 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stillhouse.errors import UsageError

__all__ = ["MODES", "Stack", "open_stack"]

MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
"""Every way of pooling, in the order in which vectors of several are joined, and its key in older folders."""
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
}
TINY = 1e-9


@final
class Stack(nn.Module):
    """States `[rows, tokens, width]` and a mask `[rows, tokens]` to one vector a row, `[rows, width of vectors]`."""

    def __init__(
        self, modes: Sequence[str] = ("mean",), normalised: bool = True, dense: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.modes, self.normalised = tuple(modes), normalised
        self.dense = nn.Sequential(*dense)

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        vectors = torch.cat([_pool(mode, states, attention_mask) for mode in self.modes], dim=-1)
        vectors = self.dense(vectors)
        return nn.functional.normalize(vectors, dim=-1) if self.normalised else vectors


def _pool(mode: str, states: Tensor, mask: Tensor) -> Tensor:
    """One vector a row; `mask` is 1 where there are tokens, wherever padding lies."""
    places = torch.arange(1, states.shape[1] + 1, device=states.device)
    weights = mask.to(states.dtype).unsqueeze(-1)
    if mode == "cls":
        return _at(states, (mask * (states.shape[1] + 1 - places)).argmax(dim=1))
    if mode == "lasttoken":
        return _at(states, (mask * places).argmax(dim=1))
    if mode == "max":
        return states.masked_fill(weights == 0, torch.finfo(states.dtype).min).amax(dim=1)
    if mode == "weightedmean":
        first = (mask * (states.shape[1] + 1 - places)).argmax(dim=1, keepdim=True)
        weights = weights * (places.unsqueeze(0) - first).to(states.dtype).unsqueeze(-1)
    summed, total = (states * weights).sum(1), weights.sum(1).clamp(min=TINY)
    return summed / (total.sqrt() if mode == "mean_sqrt_len_tokens" else total)


def _at(states: Tensor, places: Tensor) -> Tensor:
    """The state of one token of each row: `places` `[rows]`."""
    chosen = places.view(-1, 1, 1).expand(-1, 1, states.shape[-1])
    return states.gather(1, chosen).squeeze(1)


def open_stack(folder: Path) -> Stack:
    """What `folder` says; a Transformers folder without any such word means the mean of all tokens, of length 1.

    Raises UsageError for parts that are not known here.
    """
    if not (folder / "modules.json").is_file():
        return Stack()
    modes: tuple[str, ...] = ("mean",)
    dense: list[nn.Module] = []
    normalised = False
    parts: list[dict[str, Any]] = _read(folder / "modules.json")
    for part in parts[1:]:
        kind, place = str(part["type"]).rpartition(".")[2], folder / str(part["path"])
        if kind == "Pooling":
            modes = _modes(_read(place / "config.json"), place)
        elif kind == "Dense":
            dense.append(_dense(place))
        elif kind == "Normalize":
            normalised = True
        elif kind != "Dropout":
            raise UsageError(f"{folder} has a part {kind!r}; exported are Transformer, Pooling, Dense and Normalize.")
    return Stack(modes, normalised, dense).eval()


def _modes(config: dict[str, Any], place: Path) -> tuple[str, ...]:
    named = config.get("pooling_mode")
    if named is None:
        found = tuple(mode for mode, key in MODES.items() if config.get(key)) or ("mean",)
    else:
        found = (named,) if isinstance(named, str) else tuple(named)
    unknown = [mode for mode in found if mode not in MODES]
    if unknown:
        raise UsageError(f"{place} pools by {', '.join(unknown)}; known are {', '.join(MODES)}.")
    if not config.get("include_prompt", True):
        raise UsageError(f"{place} leaves prompts out of its pooling, which an exported graph cannot see.")
    return found


def _dense(place: Path) -> nn.Module:
    """A linear layer and its activation."""
    config = _read(place / "config.json")
    name = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    plain = config.get("module_input_name", "sentence_embedding") == "sentence_embedding"
    if name not in ACTIVATIONS or config.get("use_residual") or not plain:
        raise UsageError(f"{place} is a dense layer of a kind that is not exported: {config}.")
    linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    try:
        weights = load_file(place / "model.safetensors")
        linear.load_state_dict({key.removeprefix("linear."): value for key, value in weights.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UsageError(f"The weights of {place} cannot be read: {error}") from error
    return nn.Sequential(linear, ACTIVATIONS[name]())


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
