"""Embedding: sentence encoders, from texts to a vector each; how like two encoders are; the folder that others open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.factored import save_model
from stillhouse.models.forward import capture
from stillhouse.models.outputs import Batch, Layers, StudentOutput
from stillhouse.models.tokenizers import Ids, pad, read_ids

__all__ = ["EmbeddingTask", "Pooling", "embed", "likeness", "read_texts", "save_sentence_encoder"]

LENGTHS = 4
"""Batches are a multiple of this long: a CPU makes its kernels anew for every shape, which costs more than padding."""
PAIRED = 2_000
"""Texts whose similarities to each other are ranked; more pairs would say the same."""


class Pooling(StrEnum):
    """How the states of a text's tokens become one vector."""

    MEAN = "mean"
    CLS = "cls"
    """The first token's state."""
    LAST = "last"
    """The last token's state: of causal models, which alone has read the whole text."""


@final
@dataclass(frozen=True)
class EmbeddingTask:
    """`ids` per text; a model's states `[rows, tokens, width]` are pooled, and brought to length 1 if `normalised`.

    There are no labels and no scores: only objectives of embeddings, of hidden states and of relations teach. A model
    that gives `[rows, width]` pools on its own.
    """

    ids: Sequence[Ids]
    pooling: Pooling = Pooling.MEAN
    normalised: bool = True
    padding: int = 0
    """The id that fills short rows."""

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        ids, mask = pad([self.ids[row] for row in rows], LENGTHS, self.padding)
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return Batch(inputs, torch.full((len(rows), 1), -1), torch.tensor(rows))

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        with capture(student, layers) as caught:
            said = student(**batch.inputs)
        states = said if isinstance(said, Tensor) else getattr(said, "last_hidden_state", None)
        if states is None:
            raise UsageError(f"{type(student).__name__} gives no states of its tokens. Load it by AutoModel, headless.")
        vectors = states if states.dim() == 2 else pool(states, batch.inputs["attention_mask"], self.pooling)
        if self.normalised:
            vectors = nn.functional.normalize(vectors.float(), dim=-1)
        return StudentOutput(None, replace(caught.features(), embedding=vectors))

    def asked(self, batch: Batch) -> Tensor:
        return batch.labels >= 0

    def length(self, row: int) -> int:
        return len(self.ids[row])


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """`[rows, tokens, width]` -> `[rows, width]`, rows padded on the right by `mask` `[rows, tokens]`."""
    if pooling is Pooling.CLS:
        return states[:, 0]
    if pooling is Pooling.LAST:
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    where = mask.unsqueeze(-1).bool()
    return states.masked_fill(~where, 0).sum(1) / where.sum(1).clamp(min=1)


def read_texts(
    texts: Sequence[str],
    tokenizer: Any,
    tokens: int = 256,
    pooling: Pooling = Pooling.MEAN,
    normalised: bool = True,
) -> EmbeddingTask:
    """Texts through a tokenizer (of Transformers, or a `tokenizers.Tokenizer`); of long ones the beginning is kept."""
    empty = next((at for at, text in enumerate(texts) if not text.strip()), None)
    if empty is not None:
        raise UsageError(f"Text {empty} is empty, and nothing has no vector. Leave it out.")
    ids, padding = read_ids(texts, tokenizer, tokens)
    return EmbeddingTask(ids, Pooling(pooling), normalised, padding)


@torch.no_grad()
def embed(model: nn.Module, task: EmbeddingTask, size: int = 64) -> Tensor:
    """The vectors of all texts `[texts, width]` in float32, on the CPU; `model` should be in evaluation mode."""
    order = sorted(range(len(task.ids)), key=task.length)
    device = next(model.parameters()).device
    parts: list[Tensor] = []
    for start in range(0, len(order), size):
        said = task.output(model, task.batch(order[start : start + size]).to(device), Layers())
        assert said.features.embedding is not None
        parts.append(said.features.embedding.float().cpu())
    found = torch.cat(parts)
    return found[torch.tensor(order).argsort()]


def likeness(student: Tensor, teacher: Tensor, neighbours: int = 10) -> dict[str, float]:
    """How like two encoders' vectors `[texts, width]` of the same texts are; 1 is the same, widths may differ.

    `cosine`: the mean cosine of a text's two vectors (left out where widths differ). `neighbours`: which share of a
    text's nearest texts, by cosine, both agree on. `spearman`: rank correlation of the similarities of all pairs of
    the first 2,000 texts. A student can be far by the first and close by the others: then it has turned the space.
    """
    if len(student) != len(teacher) or len(student) < 3:
        raise UsageError(
            f"There are {len(student)} and {len(teacher)} vectors; give those of the same 3 or more texts."
        )
    mine, its = (nn.functional.normalize(vectors.float(), dim=-1) for vectors in (student, teacher))
    found: dict[str, float] = {}
    if mine.shape[1] == its.shape[1]:
        found["cosine"] = float((mine * its).sum(-1).mean())
    k = min(neighbours, len(mine) - 1)
    near = [_nearest(vectors, k) for vectors in (mine, its)]
    both = (near[0].unsqueeze(2) == near[1].unsqueeze(1)).any(-1)
    found["neighbours"] = float(both.float().mean())
    pairs = torch.triu_indices(min(len(mine), PAIRED), min(len(mine), PAIRED), 1)
    ranks = torch.stack(
        [_ranks((vectors[:PAIRED] @ vectors[:PAIRED].T)[pairs[0], pairs[1]]) for vectors in (mine, its)]
    )
    found["spearman"] = float(torch.corrcoef(ranks)[0, 1])
    return found


def _nearest(vectors: Tensor, k: int) -> Tensor:
    """The numbers of the `k` nearest others of each of `[texts, width]` by cosine: `[texts, k]`."""
    found: list[Tensor] = []
    for start in range(0, len(vectors), 1_024):
        alike = vectors[start : start + 1_024] @ vectors.T
        own = torch.arange(len(alike))
        alike[own, own + start] = -torch.inf
        found.append(alike.topk(k, dim=-1).indices)
    return torch.cat(found)


def _ranks(values: Tensor) -> Tensor:
    """The rank of each of `[n]`, from 0; equal ones share the mean of theirs."""
    _, groups, sizes = values.unique(return_inverse=True, return_counts=True)
    ends = sizes.cumsum(0).double()
    return (ends - (sizes.double() + 1) / 2)[groups]


def save_sentence_encoder(folder: Path, model: Any, tokenizer: Any, task: EmbeddingTask, tokens: int = 256) -> None:
    """Write a model of Transformers and its tokenizer as a folder that `SentenceTransformer(folder)` opens.

    `task` says how vectors are made, `tokens` how many tokens of a text are read.
    """
    if isinstance(tokenizer, Tokenizer):
        raise UsageError("Give the tokenizer as Transformers has it: the folder must say which its special tokens are.")
    save_model(model, folder)
    tokenizer.save_pretrained(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [("2_Normalize", "Normalize")] if task.normalised else []
    pooling = {
        "word_embedding_dimension": int(model.config.hidden_size),
        "pooling_mode_cls_token": task.pooling is Pooling.CLS,
        "pooling_mode_mean_tokens": task.pooling is Pooling.MEAN,
        "pooling_mode_lasttoken": task.pooling is Pooling.LAST,
    }
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(modules)
    ]
    _write(folder / "modules.json", listed)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": tokens, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", "prompts": {}})
    _write(folder / "1_Pooling" / "config.json", pooling)
    if task.normalised:
        _write(folder / "2_Normalize" / "config.json", {})


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
