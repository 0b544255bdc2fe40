"""Which token comes next: each row's own rules, and its own random numbers, applied to a batch of logits."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stillhouse.errors import ModelFailed
from stillhouse.inference.row import Row

__all__ = ["choose", "nucleus"]

LOOK = 512
"""So many of the likeliest tokens are sorted, and all of them only where these are not enough."""


def choose(logits: Tensor, rows: Sequence[Row]) -> list[int]:
    """The next token of each row, which it is told; `logits` `[rows, vocabulary]` are written over.

    The order is OpenAI's: penalties and biases first, then what a grammar allows, then temperature, then `top_p`. The
    log-probabilities that are told are the model's own, before any of these. A row whose grammar fails ends.
    """
    telling = [at for at, row in enumerate(rows) if row.order.top is not None]
    told = logits[telling].float().log_softmax(-1) if telling else None
    logits = logits.float()
    for at, row in enumerate(rows):
        try:
            if not row.is_over:
                _bend(logits[at], row)
        except ModelFailed as error:
            row.fail(error)
    tokens = _draw(logits, rows)
    for at, (row, token) in enumerate(zip(rows, tokens, strict=True)):
        if row.is_over:
            continue
        if told is None or row.order.top is None:
            row.take(token)
        else:
            mine = told[telling.index(at)]
            row.take(token, float(mine[token]), _likeliest(mine, row.order.top))
    return tokens


def nucleus(likely: Tensor, shares: Tensor) -> Tensor:
    """Probabilities `[rows, vocabulary]`, all but the likeliest tokens that together reach each row's share at 0."""
    size = likely.shape[-1]
    best = likely.topk(min(LOOK, size), dim=-1)
    if bool((best.values.sum(-1) < shares).any()):
        best = likely.topk(size, dim=-1)
    kept = best.values.cumsum(-1) - best.values < shares.unsqueeze(-1)
    kept[:, 0] = True  # a share of 0 means the likeliest alone
    return torch.zeros_like(likely).scatter_(-1, best.indices, best.values * kept)


def _bend(logits: Tensor, row: Row) -> None:
    """Apply one row's penalties, biases and grammar to its logits, in place."""
    drawing = row.order.drawing
    if row.counts:
        ids = torch.tensor(list(row.counts), device=logits.device)
        times = torch.tensor(list(row.counts.values()), device=logits.device)
        logits[ids] -= drawing.presence_penalty + drawing.frequency_penalty * times
    if drawing.logit_bias:
        ids = torch.tensor(list(drawing.logit_bias), device=logits.device)
        logits[ids] += torch.tensor(list(drawing.logit_bias.values()), device=logits.device, dtype=logits.dtype)
    if row.constraint:
        allowed = torch.from_numpy(row.constraint.mask()).to(logits.device)
        logits.masked_fill_(~allowed, -torch.inf)


def _draw(logits: Tensor, rows: Sequence[Row]) -> list[int]:
    """A token of each row: the likeliest at temperature 0, else the first at which the sum exceeds the row's draw."""
    tokens = logits.argmax(-1).tolist()
    hot = [at for at, row in enumerate(rows) if row.order.drawing.temperature > 0 and not row.is_over]
    if not hot:
        return tokens
    settings = [rows[at].order.drawing for at in hot]
    heats = torch.tensor([each.temperature for each in settings], dtype=torch.float64, device=logits.device)
    shares = torch.tensor([each.top_p for each in settings], dtype=torch.float64, device=logits.device)
    likely = (logits[hot].double() / heats.unsqueeze(-1)).softmax(-1)
    if bool((shares < 1).any()):
        likely = torch.where((shares < 1).unsqueeze(-1), nucleus(likely, shares), likely)
    summed = likely.cumsum(-1)
    draws = torch.tensor([rows[at].draw() for at in hot], dtype=torch.float64, device=logits.device)
    aims = (draws * summed[:, -1]).unsqueeze(-1)
    found = torch.searchsorted(summed, aims, right=True).squeeze(-1).clamp(max=logits.shape[-1] - 1)
    for at, token in zip(hot, found.tolist(), strict=True):
        tokens[at] = token
    return tokens


def _likeliest(logprobs: Tensor, count: int) -> list[tuple[int, float]]:
    if not count:
        return []
    best = logprobs.topk(min(count, len(logprobs)))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
