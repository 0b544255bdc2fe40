"""Several teachers as one: their probabilities mixed (Ensemble), or each asked about its own rows (Routed)."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.outputs import ABSENT, Batch, Layers, TeacherOutput
from stillhouse.models.rows import take_rows
from stillhouse.models.scores import Mixture, Projection, Sampled, Scores, TopK, everywhere, labels_of
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.teachers.teacher import Teacher

__all__ = ["Ensemble", "Routed"]


@final
class Ensemble:
    """Teachers whose probabilities are mixed: p = sum_i w_i p_i, at temperature 1, over the labels all of them have.

    Where only some told something, their weights alone count. Of heads not applied yet the mixture is not applied
    either (Mixture); draws are put together with their weights, which draws from the mixture. All must share one
    tokenizer.
    """

    def __init__(self, teachers: Sequence[Teacher], weights: Sequence[float] | None = None) -> None:
        """`weights` are above 0, by default all the same; only their ratios count."""
        given = [1.0] * len(teachers) if weights is None else list(weights)
        if not teachers or len(given) != len(teachers) or any(weight <= 0 for weight in given):
            raise UsageError(f"An ensemble of {len(teachers)} teachers needs a weight above 0 for each, not {given}.")
        self.tells = _told_by_all(teachers)
        if Kind.TOP in self.tells and Kind.LOGITS not in self.tells:
            raise UsageError(
                "Of teachers that tell only their likeliest labels the mixture is not known: what one leaves out is "
                "in another's mixture. Keep draws instead (samples), or mix the teachers before labelling."
            )
        self.tokenizer = _tokenizer_of(teachers)
        self._teachers = list(teachers)
        self._weights = [weight / sum(given) for weight in given]

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What they say together, where any of them says something."""
        _no_layers(layers)
        outputs = [teacher.observe(batch, layers) for teacher in self._teachers]
        scores, told = zip(*(_scores_and_told(output) for output in outputs), strict=True)
        shares = torch.stack([weight * there for weight, there in zip(self._weights, told, strict=True)], -1)
        total = shares.sum(-1, keepdim=True)
        shares = shares / total.where(total > 0, 1)
        return TeacherOutput(_mixed(scores, shares, self.tokenizer), total.squeeze(-1) > 0)


@final
class Routed:
    """Teachers of which each is asked only about its own rows, by a tag of the row; all share one tokenizer."""

    def __init__(self, teachers: Mapping[str, Teacher], tags: Sequence[str]) -> None:
        """`teachers` by tag, and the tag of every row of the dataset."""
        missing = sorted(set(tags) - set(teachers))
        if missing or not teachers:
            raise UsageError(f"No teacher is named for the tag {missing[:1]}; there are {sorted(teachers)}.")
        self.tells = _told_by_all(list(teachers.values()))
        self.tokenizer = _tokenizer_of(list(teachers.values()))
        self._teachers, self._tags = dict(teachers), tags

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What each row's own teacher says."""
        _no_layers(layers)
        rows: list[int] = batch.rows.tolist()
        tags = [self._tags[row] for row in rows]
        places: list[Tensor] = []
        parts: list[Scores] = []
        told = torch.zeros(len(tags), 0, dtype=torch.bool, device=batch.rows.device)
        for tag in dict.fromkeys(tags):
            mine = torch.tensor([at for at, other in enumerate(tags) if other == tag], device=batch.rows.device)
            some, there = _scores_and_told(self._teachers[tag].observe(take_rows(batch, mine), layers))
            if not places:
                told = torch.zeros(len(tags), there.shape[1], dtype=torch.bool, device=there.device)
            places.append(mine.to(there.device))
            parts.append(some)
            told[places[-1]] = there
        return TeacherOutput(_assembled(parts, places, len(tags), self.tokenizer), told)


def _told_by_all(teachers: Sequence[Teacher]) -> frozenset[Kind]:
    """The soft answers that every teacher gives."""
    common = EVERY_SCORE.intersection(*(teacher.tells for teacher in teachers))
    if not common:
        raise UsageError(
            "These teachers tell no soft answers that all of them give, so there is nothing to put together."
        )
    if any(Kind.TOP in teacher.tells and Kind.LOGITS not in teacher.tells for teacher in teachers):
        common -= {Kind.LOGITS}
    return common


def _tokenizer_of(teachers: Sequence[Teacher]) -> str | None:
    """The tokenizer of all of them; None where any does not say."""
    said = [teacher.tokenizer for teacher in teachers]
    known = sorted({one for one in said if one is not None})
    if len(known) > 1:
        raise UsageError(
            f"These teachers have different tokenizers ({known[0]} and {known[1]}), so an id means one token to one "
            "and another to the other. Put together teachers of one tokenizer, or distil from each with a "
            "cross-tokenizer objective."
        )
    return known[0] if None not in said else None


def _no_layers(layers: Layers) -> None:
    if layers:
        raise UsageError("Several teachers have no common inside: feature objectives need a single teacher.")


def _scores_and_told(output: TeacherOutput) -> tuple[Scores, Tensor]:
    if output.scores is None:
        raise UsageError("A teacher among several told no scores.")
    return output.scores, everywhere(output.scores) if output.told is None else output.told


def _check_widths(parts: Sequence[Scores], tokenizer: str | None) -> None:
    widths = sorted({width for width in map(labels_of, parts) if width is not None})
    if len(widths) > 1 and tokenizer is None:
        raise UsageError(
            f"These teachers score {widths[0]:,} and {widths[-1]:,} labels. If they share a tokenizer whose vocabulary "
            "is padded to different lengths, give each of them that tokenizer's hash; otherwise they answer "
            "different questions."
        )


def _mixed(parts: Sequence[Scores], shares: Tensor, tokenizer: str | None) -> Scores:
    """The mixture of scores of one form, with `shares` `[rows, positions, parts]`."""
    _check_widths(parts, tokenizer)
    draws = [part for part in parts if isinstance(part, Sampled)]
    if len(draws) == len(parts):
        counts = [
            share.unsqueeze(-1) * part.counts / part.counts.sum(-1, keepdim=True).clamp(min=1)
            for part, share in zip(draws, shares.unbind(-1), strict=True)
        ]
        return Sampled(torch.cat([part.ids for part in draws], -1), torch.cat(counts, -1))
    flatter: list[Tensor | Projection] = []
    weights: list[Tensor] = []
    for part, share in zip(parts, shares.unbind(-1), strict=True):
        if isinstance(part, Mixture):
            flatter.extend(part.parts)
            weights.extend((share.unsqueeze(-1) * part.weights).unbind(-1))
        elif isinstance(part, Tensor | Projection):
            flatter.append(part)
            weights.append(share)
        else:
            raise UsageError("A score for every label and a few cannot be mixed; let all teachers tell the same form.")
    mixture = Mixture(tuple(flatter), torch.stack(weights, -1))
    return mixture.logits() if all(isinstance(part, Tensor) for part in flatter) else mixture


def _assembled(parts: Sequence[Scores], places: Sequence[Tensor], rows: int, tokenizer: str | None) -> Scores:
    """Scores of one form, each at its rows of `rows`."""
    _check_widths(parts, tokenizer)
    if all(isinstance(part, Tensor) for part in parts):
        return _spread([part for part in parts if isinstance(part, Tensor)], places, rows, ABSENT)
    if all(isinstance(part, TopK) for part in parts):
        few = [part for part in parts if isinstance(part, TopK)]
        heats = set(few[0].shifts).intersection(*(part.shifts for part in few))
        shifts = {
            heat: _spread([part.shifts[heat].unsqueeze(-1) for part in few], places, rows, 0).squeeze(-1)
            for heat in sorted(heats)
        }
        ids = _spread([part.ids for part in few], places, rows, 0)
        return TopK(ids, _spread([part.log_probs for part in few], places, rows, -torch.inf), shifts)
    if all(isinstance(part, Sampled) for part in parts):
        draws = [part for part in parts if isinstance(part, Sampled)]
        ids = _spread([part.ids for part in draws], places, rows, 0)
        return Sampled(ids, _spread([part.counts for part in draws], places, rows, 0))
    return _side_by_side(parts, places, rows)


def _spread(parts: Sequence[Tensor], places: Sequence[Tensor], rows: int, filling: float) -> Tensor:
    """`[some rows, positions, n]` each -> `[rows, positions, widest n]`."""
    widest = max(part.shape[-1] for part in parts)
    found = parts[0].new_full((rows, parts[0].shape[1], widest), filling)
    for part, place in zip(parts, places, strict=True):
        found[place, :, : part.shape[-1]] = part.to(found.dtype)
    return found


def _side_by_side(parts: Sequence[Scores], places: Sequence[Tensor], rows: int) -> Mixture:
    """Heads not applied yet, each with all the weight at its own rows."""
    flatter: list[Tensor | Projection] = []
    weights: list[Tensor] = []
    for part, place in zip(parts, places, strict=True):
        if isinstance(part, TopK | Sampled):
            raise UsageError(
                "A score for every label and a few cannot stand in one batch; let all teachers tell one form."
            )
        given = part if isinstance(part, Mixture) else Mixture((part,), everywhere(part).float().unsqueeze(-1))
        for own, weight in zip(given.parts, given.weights.unbind(-1), strict=True):
            tensor = own.states if isinstance(own, Projection) else own
            wide = tensor.new_zeros(rows, *tensor.shape[1:])
            wide[place] = tensor
            share = weight.new_zeros(rows, weight.shape[1])
            share[place] = weight
            if isinstance(own, Projection):
                flatter.append(Projection(wide, own.weight, own.bias, own.scale, own.softcap))
            else:
                flatter.append(wide)
            weights.append(share)
    return Mixture(tuple(flatter), torch.stack(weights, -1))
