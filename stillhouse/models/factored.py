"""Linear layers and embeddings as products of two thin matrices: the modules, their folder, and back to dense ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError

__all__ = [
    "RANKS",
    "FactoredEmbedding",
    "FactoredLinear",
    "as_dense",
    "factor_again",
    "has_factors",
    "is_factored",
    "merge",
    "replace_module",
    "save_model",
]

RANKS = "factored.json"
"""The file that says which layers of a folder's model are factored, and how."""
WEIGHTS = "factored.safetensors"
"""The weights of such a folder; Transformers alone, which could not use them, does not find them by this name."""
VERSION = 1
_PARTS = ("inner", "outer")


@final
class FactoredLinear(nn.Module):
    """A linear layer whose matrix is a product: W = outer inner, with `rank` numbers in between."""

    def __init__(self, inner: Tensor, outer: Tensor, bias: Tensor | None, conv1d: bool = False) -> None:
        """`inner` is `[rank, inputs]`, `outer` `[outputs, rank]`; `conv1d`: it stands for GPT-2's kind of layer."""
        super().__init__()
        self.inner, self.outer = _linear(inner, None), _linear(outer, bias)
        self.in_features, self.out_features, self.conv1d = inner.shape[1], outer.shape[0], conv1d

    @property
    def rank(self) -> int:
        return self.inner.out_features

    @property
    def weight(self) -> Tensor:
        """The whole matrix `[outputs, inputs]`."""
        return self.outer.weight @ self.inner.weight

    @property
    def bias(self) -> Tensor | None:
        return self.outer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        return self.outer(self.inner(inputs))

    def product(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """What is multiplied where this is a model's head: few numbers a state, by a thin matrix, and the bias."""
        return self.inner(states), self.outer.weight, self.outer.bias

    def dense(self) -> nn.Module:
        """The layer it stands for, with the product as its matrix."""
        weight = self.weight.detach()
        layer = Conv1D(self.out_features, self.in_features) if self.conv1d else _linear(weight, self.bias)
        if self.conv1d:
            layer.weight = nn.Parameter(weight.T.contiguous())
            layer.bias = nn.Parameter(weight.new_zeros(len(weight)) if self.bias is None else self.bias.detach())
        return layer.to(weight.device)


@final
class FactoredEmbedding(nn.Module):
    """A table whose rows are mixtures of a few: row i is table[i] mix."""

    def __init__(self, table: Tensor, mix: Tensor, padding_idx: int | None = None) -> None:
        """`table` is `[entries, rank]`, `mix` `[rank, width]`."""
        super().__init__()
        self.table = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=padding_idx)
        self.mix = nn.Parameter(mix)
        self.num_embeddings, self.embedding_dim, self.padding_idx = len(table), mix.shape[1], padding_idx

    @property
    def rank(self) -> int:
        return self.table.embedding_dim

    @property
    def weight(self) -> Tensor:
        """The whole table `[entries, width]`."""
        return self.table.weight @ self.mix

    def forward(self, ids: Tensor) -> Tensor:
        return functional.linear(self.table(ids), self.mix.T)

    def dense(self) -> nn.Embedding:
        """The table it stands for."""
        return nn.Embedding.from_pretrained(self.weight.detach(), freeze=False, padding_idx=self.padding_idx)

    def head(self, bias: Tensor | None) -> FactoredLinear:
        """A language model's head with this table as its matrix, the weights shared: x mix^T table^T."""
        head = FactoredLinear(self.mix.detach(), self.table.weight.detach(), bias)
        head.inner.weight, head.outer.weight = self.mix, self.table.weight
        return head


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight.detach())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach())
    return layer


def replace_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place that `name` says, such as `encoder.layer.0.output.dense`."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def merge(model: nn.Module) -> None:
    """Multiply the factors out, in place: the model is again one that `save_pretrained` and `from_pretrained` know.

    It answers as before, and is as large as it was before it was factored.
    """
    found = _factored(model)
    tables = {id(part.mix): part.dense() for part in found.values() if isinstance(part, FactoredEmbedding)}
    for name, part in found.items():
        if isinstance(part, FactoredEmbedding):
            replace_module(model, name, tables[id(part.mix)])
            continue
        layer = part.dense()
        shared = tables.get(id(part.inner.weight))
        if shared is not None:
            layer.weight = shared.weight
        replace_module(model, name, layer)


def is_factored(name: str) -> bool:
    """Whether a name is that of a folder with a factored model."""
    return (Path(name) / RANKS).is_file()


def has_factors(model: nn.Module) -> bool:
    """Whether a model has factored layers."""
    return bool(_factored(model))


def save_model(model: nn.Module, folder: Path) -> None:
    """Write a Transformers model as `save_pretrained` does, or where layers are factored, with a file that says so.

    `load_encoder`, `load_causal`, `load_classifier` and `load_image` open both; Transformers alone opens no factored
    one, and says that it finds no weights.
    """
    found = _factored(model)
    if not found:
        model.save_pretrained(folder)  # pyright: ignore[reportCallIssue]
        return
    folder.mkdir(parents=True, exist_ok=True)
    tables = {id(part.mix): name for name, part in found.items() if isinstance(part, FactoredEmbedding)}
    layers = {name: _describe(part, tables) for name, part in found.items()}
    again = {f"{name}.{part}.weight" for name, said in layers.items() if said["kind"] == "head" for part in _PARTS}
    weights: dict[str, Tensor] = {}
    held: set[int] = set()
    for name, weight in model.state_dict(keep_vars=True).items():
        if name not in again and id(weight) not in held:
            weights[name] = weight.detach().cpu().contiguous()
            held.add(id(weight))
    config: Any = model.config
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(folder)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    waiting = folder / f".{WEIGHTS}.part"
    save_file(weights, waiting, metadata={"format": "pt"})
    waiting.replace(folder / WEIGHTS)
    (folder / f".{RANKS}.part").write_text(json.dumps({"version": VERSION, "layers": layers}, indent=1) + "\n")
    (folder / f".{RANKS}.part").replace(folder / RANKS)


def _describe(part: FactoredLinear | FactoredEmbedding, tables: dict[int, str]) -> dict[str, Any]:
    if isinstance(part, FactoredEmbedding):
        return {"kind": "embedding", "rank": part.rank}
    table = tables.get(id(part.inner.weight))
    kind = "conv1d" if part.conv1d else "linear"
    return {"kind": kind, "rank": part.rank} if table is None else {"kind": "head", "of": table}


@contextmanager
def as_dense(name: str) -> Generator[str]:
    """A folder that `from_pretrained` can open, while this is open: `name` itself unless its model is factored.

    Of a factored one it has the products as weights; `factor_again` then puts the factors back.
    """
    if not is_factored(name):
        yield name
        return
    layers, weights = _read(Path(name))
    for layer, said in layers.items():
        if said["kind"] == "embedding":
            weights[f"{layer}.weight"] = weights.pop(f"{layer}.table.weight") @ weights.pop(f"{layer}.mix")
        elif said["kind"] != "head":
            product = weights.pop(f"{layer}.outer.weight") @ weights.pop(f"{layer}.inner.weight")
            weights[f"{layer}.weight"] = product.T if said["kind"] == "conv1d" else product
        if f"{layer}.outer.bias" in weights:
            weights[f"{layer}.bias"] = weights.pop(f"{layer}.outer.bias")
    with TemporaryDirectory() as folder:
        for file in Path(name).iterdir():
            if file.is_file() and file.name not in (WEIGHTS, RANKS):
                shutil.copy(file, folder)
        whole = {key: weight.contiguous() for key, weight in weights.items()}
        save_file(whole, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        yield folder


def factor_again(model: nn.Module, name: str) -> None:
    """Put the factors of the folder `name` in the place of their products, in a model opened from `as_dense(name)`.

    Layers that the model does not have, such as the head of another task, are passed over.
    """
    if not is_factored(name):
        return
    layers, weights = _read(Path(name))
    places = {layer: _place(model, layer) for layer in layers}
    model.config._name_or_path = name  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    for layer, said in sorted(layers.items(), key=lambda item: item[1]["kind"] == "head"):
        place = places[layer]
        if place is None:
            continue
        old: Any = model.get_submodule(place)
        if said["kind"] == "embedding":
            table, mix = (weights[f"{layer}.{part}"].to(old.weight) for part in ("table.weight", "mix"))
            new: nn.Module = FactoredEmbedding(table, mix, old.padding_idx)
        elif said["kind"] == "head":
            table = model.get_submodule(places[said["of"]] or "")
            assert isinstance(table, FactoredEmbedding)
            new = table.head(old.bias)
        else:
            inner, outer = (weights[f"{layer}.{part}.weight"].to(old.weight) for part in ("inner", "outer"))
            new = FactoredLinear(inner, outer, old.bias, said["kind"] == "conv1d")
        replace_module(model, place, new.train(old.training))


def _read(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    """What is said of each layer, and the weights."""
    try:
        said = json.loads((folder / RANKS).read_text(encoding="utf-8"))
        layers = said["layers"]
        if said["version"] != VERSION:
            raise UsageError(
                f"{folder / RANKS} is of version {said['version']}; this release reads {VERSION}. Factor again."
            )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / RANKS} cannot be read: {error!r}. Factor the model again.") from error
    if not (folder / WEIGHTS).is_file():
        raise UsageError(f"{folder} has no {WEIGHTS}, which {RANKS} speaks of. Copy the whole folder.")
    weights = load_file(folder / WEIGHTS)
    for layer, one in layers.items():
        names = {"embedding": ("table.weight", "mix"), "head": ()}.get(one["kind"], ("inner.weight", "outer.weight"))
        absent = [f"{layer}.{name}" for name in names if f"{layer}.{name}" not in weights]
        if absent:
            raise UsageError(f"{folder / WEIGHTS} lacks {', '.join(absent)}, which {RANKS} speaks of. Factor again.")
    return layers, weights


def _place(model: nn.Module, name: str) -> str | None:
    """What a layer is called in a model that may have a head more or less than the one that was saved."""
    there = {known for known, _ in model.named_modules()}
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    return next((one for one in (name, name.removeprefix(prefix), f"{prefix}{name}") if one in there), None)


def _factored(model: nn.Module) -> dict[str, FactoredLinear | FactoredEmbedding]:
    return {name: part for name, part in model.named_modules() if isinstance(part, FactoredLinear | FactoredEmbedding)}
