"""Low rank: linear layers and embeddings as products of thin matrices that lose least on what really comes in.

Of a layer y = W x whose inputs have the second moment C = E[x x^T], the matrix W' of rank r with the least
E ||W x - W' x||^2 is U_r U_r^T W, where U_r are the first r left singular vectors of W S, for any S with S S^T = C.
What is lost is the sum of the squares of the singular values left out. SVD-LLM (Wang et al. 2024,
arxiv.org/abs/2403.07378) writes the same as U_r Sigma_r V_r^T S^-1; ASVD (Yuan et al. 2023, arxiv.org/abs/2312.05821)
scales inputs one by one instead, by a diagonal S. A table's rows are weighted by how often each is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from stillhouse.compression.ranks import Spectrum, choose_ranks
from stillhouse.compression.second_moments import second_moments, token_counts
from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from stillhouse.models.factored import FactoredEmbedding, FactoredLinear, replace_module

__all__ = ["Factored", "LowRank", "decompose", "decompose_table", "factor"]

RIDGE = 1e-6
"""Share of the mean square of an input that is added to each: directions never seen still count for a little."""


@final
@dataclass(frozen=True)
class LowRank:
    """How small the factored layers become together, and which layers are taken."""

    keep: float = 0.5
    """Share of the parameters of these layers that they may have afterwards, biases not counted."""
    embeddings: bool = True
    """Also the table of tokens, and with it a head that shares its weights."""
    least: int = 16
    """Layers with fewer inputs or outputs are left as they are."""
    memory: int = 2**31
    """Bytes that second moments may take at once; with less, batches are read more often."""

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise UsageError(f"The share of parameters to keep is above 0 and below 1; it is {self.keep}.")


@final
@dataclass(frozen=True)
class Factored:
    """What was factored."""

    ranks: Mapping[str, int]
    """Of each layer that was factored; the others lost too much for what they would have saved."""
    errors: Mapping[str, float]
    """The share of each such layer's outputs, in squares, that is lost on the data it was fitted to."""
    before: int
    """Parameters of the model, and after."""
    after: int


@torch.no_grad()
def factor(model: nn.Module, batches: Iterable[Mapping[str, Tensor]], how: LowRank | None = None) -> Factored:
    """Put products of thin matrices in the place of linear layers and of the token table, in place.

    `batches` are keyword arguments of the model, read one at a time, and more often than once; positions of padding do
    not count. Ranks are chosen so that all these layers together lose the least of their outputs for the parameters
    that they may have. Layers that the batches do not use, or whose weight another one shares, are left alone, but for
    a table and its head.
    """
    how = how or LowRank()
    if isinstance(batches, Iterator):
        raise UsageError("The batches are read more than once. Give a list, or an object that can be read anew.")
    before = parameters(model)
    layers, table = _layers(model, how.least), _table(model) if how.embeddings else None
    if not layers and table is None:
        raise UsageError(f"{type(model).__name__} has no linear layer of {how.least} inputs and outputs or more.")
    heads = {table.head: model.get_submodule(table.head)} if table is not None and table.head is not None else {}
    lefts: dict[str, Tensor] = {}
    spectra: list[Spectrum] = []
    read_by_head: Tensor | None = None
    for name, moment in second_moments(model, layers | heads, batches, how.memory):
        if name in heads:
            read_by_head = moment
            continue
        weight = _matrix(layers[name])
        lefts[name], energies = decompose(weight, moment)
        spectra.append(Spectrum(name, len(weight), weight.shape[1], energies))
    if table is not None:
        counts = token_counts(model, table.module, batches)
        lefts[table.name], energies = decompose_table(table.module.weight, counts, read_by_head)
        spectra.append(Spectrum(table.name, table.module.num_embeddings, table.module.embedding_dim, energies))
    if not spectra:
        raise UsageError("None of the layers is used on these batches. Give batches of the task that the model is for.")
    ranks = choose_ranks(spectra, int(how.keep * sum(spectrum.whole for spectrum in spectra)))
    chosen = {name: rank for name, rank in ranks.items() if rank is not None}
    for name, rank in chosen.items():
        if table is not None and name == table.name:
            _replace_table(model, table, lefts[name][:, :rank])
        else:
            replace_module(model, name, _product(layers[name], lefts[name][:, :rank]))
    errors = {one.name: float(one.lost()[chosen[one.name]]) for one in spectra if one.name in chosen}
    return Factored(chosen, errors, before, parameters(model))


def decompose(weight: Tensor, moment: Tensor) -> tuple[Tensor, Tensor]:
    """Directions of a layer's outputs `[outputs, directions]`, and what each carries on data `[directions]`.

    `weight` is `[outputs, inputs]`, `moment` E[x x^T]. With moment = Q diag(l) Q^T and S = Q diag(sqrt(l)), they are
    the left singular vectors of W S and the squares of its singular values, both in float64, the largest first.
    """
    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp_min(0) + RIDGE * values.clamp_min(0).mean()
    root = vectors * values.sqrt()
    left, sizes, _ = torch.linalg.svd(weight.detach().double().cpu() @ root, full_matrices=False)
    return left, sizes.square()


def decompose_table(table: Tensor, counts: Tensor, read_by_head: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Directions of a table's rows `[width, directions]`, and what each carries.

    Rows are weighted by how often they are looked up, each once more: sum_i (n_i + 1) e_i e_i^T. Of a table that is
    also a head, so are directions of what the head reads: to this, brought to a trace of 1, the second moment of that
    is added, which has one, too.
    """
    rows = table.detach().double().cpu()
    moment = rows.T @ (rows * (counts + 1).unsqueeze(-1))
    if read_by_head is not None:
        moment = moment / moment.trace() + read_by_head / read_by_head.trace()
    values, vectors = torch.linalg.eigh(moment)
    return vectors.flip(-1), values.flip(-1).clamp_min(0)


def _layers(model: nn.Module, least: int) -> dict[str, nn.Module]:
    """The linear layers that may be factored, by name."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            owners[id(weight)] = owners.get(id(weight), 0) + 1
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if type(module) not in (nn.Linear, Conv1D):
            continue
        weight: Any = module.weight
        if min(weight.shape) >= least and owners[id(weight)] == 1:
            found[name] = module
    return found


@final
@dataclass(frozen=True)
class _Table:
    name: str
    module: nn.Embedding
    head: str | None
    """The layer that shares its weight."""


def _table(model: nn.Module) -> _Table | None:
    """The token table, where the model has one of its own and only its head shares it."""
    module = next((found for part in model.modules() if (found := _embedding(part)) is not None), None)
    if type(module) is not nn.Embedding:  # one that does more than to look up keeps its form
        return None
    users = {name: part for name, part in model.named_modules() if getattr(part, "weight", None) is module.weight}
    own = next(name for name, part in users.items() if part is module)
    heads = [name for name, part in users.items() if type(part) is nn.Linear]
    if len(heads) > 1 or len(users) > 1 + len(heads):
        return None
    return _Table(own, module, heads[0] if heads else None)


def _embedding(model: nn.Module) -> nn.Module | None:
    """The token table of a Transformers model; None of other modules, and of models that read no tokens."""
    try:
        return model.get_input_embeddings() if isinstance(model, PreTrainedModel) else None
    except NotImplementedError:
        return None


def _matrix(layer: nn.Module) -> Tensor:
    """A layer's weight as `[outputs, inputs]`."""
    weight: Any = layer.weight
    return weight.T if isinstance(layer, Conv1D) else weight


def _product(layer: nn.Module, left: Tensor) -> FactoredLinear:
    """W' = U (U^T W), each direction's size shared evenly between both factors."""
    weight = _matrix(layer).detach()
    inner = left.T @ weight.double().cpu()
    size = torch.linalg.vector_norm(inner, dim=1, keepdim=True).sqrt()
    size = torch.where(size > 0, size, 1)
    bias: Any = layer.bias
    made = FactoredLinear((inner / size).to(weight), (left * size.T).to(weight), bias, isinstance(layer, Conv1D))
    return made.train(layer.training)


def _replace_table(model: nn.Module, table: _Table, directions: Tensor) -> None:
    """E' = (E V) V^T, and its head with the same two matrices."""
    weight = table.module.weight.detach()
    thin = (weight.double().cpu() @ directions).to(weight)
    made = FactoredEmbedding(thin, directions.T.contiguous().to(weight), table.module.padding_idx)
    replace_module(model, table.name, made.train(table.module.training))
    if table.head is not None:
        head: Any = model.get_submodule(table.head)
        replace_module(model, table.head, made.head(head.bias).train(head.training))
