"""Take rows out of batches and answers, and put several together, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stillhouse.models.outputs import Batch, Features, Heads, StudentOutput
from stillhouse.models.scores import Projection

__all__ = ["detach", "join_batches", "join_features", "join_said", "join_scores", "lengthen", "take_rows"]


def take_rows(batch: Batch, rows: Tensor | slice) -> Batch:
    """Some rows of a batch, as padded as they were."""
    inputs = {name: value[rows] if value.dim() else value for name, value in batch.inputs.items()}
    parts = None if batch.parts is None else batch.parts[rows]
    return replace(batch, inputs=inputs, labels=batch.labels[rows], rows=batch.rows[rows], parts=parts)


def lengthen(value: Tensor, length: int, filling: float) -> Tensor:
    """`[rows, n]` -> `[rows, length]`, filled at the end."""
    return torch.nn.functional.pad(value, (0, length - value.shape[1]), value=filling)


def join_batches(batches: Sequence[Batch], padding: int = 0) -> Batch:
    """One batch of all rows; shorter ones are padded at the end, ids with `padding`, masks with 0, labels with -1."""
    if len(batches) == 1:
        return batches[0]
    inputs: dict[str, Tensor] = {}
    for name in batches[0].inputs:
        values = [batch.inputs[name] for batch in batches]
        if values[0].dim() == 2:
            longest = max(value.shape[1] for value in values)
            values = [lengthen(value, longest, padding if name == "input_ids" else 0) for value in values]
        inputs[name] = torch.cat(values)
    longest = max(batch.labels.shape[1] for batch in batches)
    labels = torch.cat([lengthen(batch.labels, longest, -1) for batch in batches])
    parts = [batch.parts for batch in batches if batch.parts is not None]
    rows = torch.cat([batch.rows for batch in batches])
    return Batch(inputs, labels, rows, torch.cat(parts) if len(parts) == len(batches) else None)


def join_scores(parts: Sequence[Tensor | Projection]) -> Tensor | Projection:
    """Scores of the rows of several batches of one length, by one model: `[rows, positions, ...]` each."""
    first = parts[0]
    if isinstance(first, Projection):
        return replace(first, states=torch.cat([part.states for part in parts if isinstance(part, Projection)]))
    return torch.cat([part for part in parts if isinstance(part, Tensor)])


def join_features(parts: Sequence[Features]) -> Features:
    """Features of the rows of several batches of one length, by one model."""
    first = parts[0]
    heads = {
        layer: Heads(
            torch.cat([part.heads[layer].queries for part in parts]),
            torch.cat([part.heads[layer].keys for part in parts]),
            torch.cat([part.heads[layer].values for part in parts]),
        )
        for layer in first.heads
    }
    embeddings = [part.embedding for part in parts if part.embedding is not None]
    return Features(
        {layer: torch.cat([part.hidden[layer] for part in parts]) for layer in first.hidden},
        {layer: torch.cat([part.attention[layer] for part in parts]) for layer in first.attention},
        heads,
        torch.cat(embeddings) if embeddings else None,
    )


def join_said(parts: Sequence[StudentOutput]) -> StudentOutput:
    """What one model said of the rows of several batches of one length."""
    if len(parts) == 1:
        return parts[0]
    scores = [part.scores for part in parts if part.scores is not None]
    return StudentOutput(join_scores(scores) if scores else None, join_features([part.features for part in parts]))


def detach(said: StudentOutput) -> StudentOutput:
    """The scores alone, cut off from what made them."""
    scores = said.scores
    if isinstance(scores, Projection):
        bias = None if scores.bias is None else scores.bias.detach()
        scores = replace(scores, states=scores.states.detach(), weight=scores.weight.detach(), bias=bias)
    return StudentOutput(scores if scores is None or isinstance(scores, Projection) else scores.detach())
