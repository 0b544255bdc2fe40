"""How likely a model finds given answers, from its scores over labels in any dense form, a few positions at a time."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.scores import Mixture, Projection, flat, labels_of
from stillhouse.objectives import divergences as maths
from stillhouse.objectives.piecewise import piecewise

__all__ = ["log_likelihoods"]


def log_likelihoods(scores: Tensor | Projection | Mixture | None, labels: Tensor) -> Tensor:
    """log q(label) of each position: scores `[rows, positions, V]`, labels `[rows, positions]` -> nats of that shape.

    0 where the label is -1. A head not applied yet is applied to a few labelled positions at a time, and once more
    for their gradient, so that its logits never exist all at once. Raises UsageError where there are no scores, or a
    label that is not among them.
    """
    if scores is None:
        raise UsageError("Answers are to be scored, but this model gives no scores over labels, only features.")
    width = labels_of(scores) or 0
    if labels.numel() and int(labels.max()) >= width:
        raise UsageError(f"An answer has label {int(labels.max())}, but the model scores labels 0 to {width - 1} only.")
    index = (labels >= 0).flatten().nonzero().squeeze(-1)
    said, answers = flat(scores)[index], labels.flatten()[index]

    def nats(part: slice) -> Tensor:
        some = said[part]
        logits = some if isinstance(some, Tensor) else cast("Projection | Mixture", some).logits()
        return maths.log_softmax(logits).gather(-1, answers[part].unsqueeze(-1)).squeeze(-1)

    found = torch.cat(piecewise(nats, len(index), width, labels.device))
    return found.new_zeros(labels.numel()).index_copy(0, index, found).view(labels.shape)
