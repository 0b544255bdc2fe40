"""Chunk likelihoods: how likely two models with different tokenizers find the same pieces of text.

Pure, unreduced maths on the chunks of `signals/align.py`. Minixhofer, Vulić & Ponti 2025, arxiv.org/abs/2503.20083
(approximate likelihood matching, ALM).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stillhouse.errors import UsageError

__all__ = ["binary_kl", "chunk_log_likelihoods", "log1mexp", "whole_chunks"]


def chunk_log_likelihoods(log_probs: Tensor, chunks: Tensor, most: int) -> Tensor:
    """log p(chunk | what came before) = sum of its tokens' log-probs: `[rows, tokens]` -> nats `[rows, most]`.

    `log_probs` holds each realised token's own, given the tokens before it; `chunks` `[rows, tokens]` says which
    chunk it belongs to, -1 for none; `most` is the number of chunks. A chunk without tokens gets 0.
    """
    inside = chunks >= 0
    sums = log_probs.new_zeros(len(chunks), most, dtype=_at_least_single(log_probs.dtype))
    return sums.scatter_add(1, chunks.clamp(min=0), log_probs.to(sums.dtype).masked_fill(~inside, 0)) if most else sums


def whole_chunks(counted: Tensor, chunks: Tensor, most: int) -> Tensor:
    """Which chunks have tokens and all of them counted: bools `[rows, tokens]` -> bools `[rows, most]`.

    A chunk with one token that nothing predicts (the first of a sequence) or that is masked (the prompt's) has no
    likelihood that can be compared.
    """
    counts = torch.zeros(2, len(chunks), most, dtype=torch.long, device=chunks.device)
    if most:
        inside, place = chunks >= 0, chunks.clamp(min=0)
        counts[0].scatter_add_(1, place, inside.long())
        counts[1].scatter_add_(1, place, (inside & counted).long())
    return (counts[0] > 0) & (counts[0] == counts[1])


def log1mexp(log_prob: Tensor) -> Tensor:
    """log(1 - e^x) for x < 0: as precise near 0 as far from it, and so is its gradient.

    Mächler 2012, cran.r-project.org/web/packages/Rmpfr/vignettes/log1mexp-note.pdf.
    """
    near = log_prob > -math.log(2)
    close = torch.where(near, log_prob, -1.0)
    far = torch.where(near, -1.0, log_prob)
    return torch.where(near, (-torch.expm1(close)).log(), torch.log1p(-far.exp()))


def binary_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T KL(Bernoulli(p^(1/T)) || Bernoulli(q^(1/T))): log-likelihoods log q, log p `[...]` -> nats `[...]`.

    Does the text come or does it not: the one question that models of different tokenizers answer alike. Zero only
    when they find it equally likely. The divergence falls with 1/T, so it is multiplied by T once for its gradient to
    keep its scale; at `temperature=math.inf` it is the limit y - x + x log(x / y) of x = -log p, y = -log q, in which
    long, unlikely chunks still count (T = 1 sees in them two certain absences).

    A likelihood of 1 is taken as 1 - eps of the number type, so that values and gradients are finite. Half precision
    is computed in float32.
    """
    if not temperature > 0:
        raise UsageError(f"The temperature of binary_kl must be above 0, or math.inf; it is {temperature}.")
    dtype = torch.promote_types(_at_least_single(student.dtype), _at_least_single(teacher.dtype))
    tiny = torch.finfo(dtype).eps
    mine, its = (side.to(dtype).clamp(max=0) - tiny for side in (student, teacher))
    if math.isinf(temperature):
        return its - mine + its * ((-mine).log() - (-its).log())
    mine, its = mine / temperature, its / temperature
    comes = its.exp() * (its - mine)
    stays_away = -torch.expm1(its) * (log1mexp(its) - log1mexp(mine))
    return temperature * (comes + stays_away)


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
