"""Search: which combination of levers to try next, from what each lever does alone and from what trials showed.

Every lever is pulled alone first: so many weights of each part are left, and the answers differ by so much from the
whole model's (damage, in nats). A combination is predicted from these,

    weights(part) = whole(part) * product over levers of left(lever, part) / whole(part)
    bytes = overhead + sum over parts of weights(part) * bits(precision, part) / 8
    ms = ms(precision) * weights(matrices) / whole(matrices)
    damage = sum over levers of damage(lever)
    damage(lever, setting) >= damage(lever, milder setting) * weights(milder setting) / weights(setting)

The last line is for levers that are pulled far: how badly broken a model is before it heals tells little then, and
the larger heals better. The lost quality is taken to be proportional to the damage, by a factor that trials correct, as
they do the bytes and the milliseconds. That damages add up holds for small ones (the loss is nearly flat where training
ended: LeCun, Denker & Solla 1989, Optimal Brain Damage); healing makes most of them smaller than predicted, never
measured ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

from stillhouse.errors import UsageError

__all__ = ["MATRICES", "PRECISION", "Combination", "Goal", "Prediction", "Search", "Seen", "Survey", "Tried"]

Combination = Mapping[str, str]
"""The setting of each lever by the lever's name, such as `{"layers": "3", "ffn": "0.5", "precision": "int8"}`."""
PRECISION = "precision"
"""The lever that is about bits, not about weights."""
MATRICES = "matrices"
"""The part of a model that takes its time."""
FIRST_GUESS = 0.5
"""Quality lost for each nat of damage before any trial has said."""
WELL_SMALLER = 0.95
"""What must be gained in bytes for a trial against the odds."""


@dataclass(frozen=True)
class Seen:
    """What one setting of one lever does alone, before anything is healed."""

    weights: Mapping[str, int]
    """Numbers left in each part of the model."""
    damage: float
    """Mean KL divergence of its answers from the whole model's, in nats."""


@dataclass(frozen=True)
class Survey:
    """What is known of a model before anything is tried: the whole of it, and every setting of every lever alone."""

    whole: Seen
    levers: Mapping[str, Mapping[str, Seen]]
    """By lever and setting, the first setting of each leaving the model as it is; `precision` is one of them."""
    bits: Mapping[str, Mapping[str, float]]
    """By precision and part, bits for each number, scales included."""
    ms: Mapping[str, float]
    """By precision, milliseconds for an answer of the whole model."""
    overhead: int
    """Bytes that are no numbers: the graph, the tokenizer."""


@dataclass(frozen=True)
class Goal:
    """What is wanted: at most so many bytes, so many milliseconds, so much quality lost (0..1); any of them."""

    bytes: float | None = None
    ms: float | None = None
    drop: float | None = None

    def __post_init__(self) -> None:
        if self.bytes is None and self.ms is None and self.drop is None:
            raise UsageError("Compression needs a goal: --target-mb, --target-ms, --max-drop, or several of them.")
        megabytes = None if self.bytes is None else self.bytes / 1e6
        for name, value in (("--target-mb", megabytes), ("--target-ms", self.ms)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name} must be above 0 and finite; it is {value}.")
        if self.drop is not None and not 0 <= self.drop < 1:
            raise UsageError(f"--max-drop is a share of the quality, at least 0 and below 1; it is {self.drop}.")

    def misses(self, found: Prediction) -> float:
        """By what share a goal is missed, the worst of all; 0 where all are reached."""
        pairs = ((self.bytes, found.bytes), (self.ms, found.ms))
        over = [value / goal - 1 for goal, value in pairs if goal is not None]
        over += [found.drop - self.drop] if self.drop is not None else []
        return max(0.0, *over)


@dataclass(frozen=True)
class Prediction:
    """Bytes on disk, milliseconds for an answer, and quality lost against the whole model (negative: gained)."""

    bytes: float
    ms: float
    drop: float

    @property
    def words(self) -> str:
        """The same for people. What is foreseen before any trial may be more than there is to lose."""
        return f"{self.bytes / 1e6:.2f} MB, {self.ms:.2f} ms, {min(1.0, self.drop):.2%} lost"


@dataclass(frozen=True)
class Tried:
    """A combination that was made, healed and measured."""

    combination: Combination
    predicted: Prediction
    """What the levers alone foretold; in place of the quality lost it has the damage, in nats."""
    found: Prediction


@final
class Search:
    """Proposes combinations one after the other, and learns from what became of them.

    With a goal of size or speed it proposes what is predicted to reach it at the least damage, of each kind (the levers
    that are pulled) the best: healing undoes the damage of one lever better than that of another, which only trials
    tell. With a goal of quality alone it proposes the smallest that is predicted to keep it; where none is, of those
    between what kept it and what did not the one that should lose least.
    """

    def __init__(self, survey: Survey, goal: Goal) -> None:
        self.survey, self.goal = survey, goal
        self.tried: list[Tried] = []
        self._damage = {name: _growing(settings) for name, settings in survey.levers.items()}
        self._all = [dict(zip(survey.levers, chosen, strict=True)) for chosen in product(*survey.levers.values())]

    @property
    def smallest(self) -> Prediction:
        """The least bytes and milliseconds that any combination is predicted to have, and what that would cost."""
        every = [self.predict(one) for one in self._all]
        return Prediction(min(one.bytes for one in every), min(one.ms for one in every), max(one.drop for one in every))

    def predict(self, combination: Combination) -> Prediction:
        """What a combination should come to, by what is known so far."""
        raw = self._raw(combination)
        bytes_, ms, lost = self._corrections()
        return Prediction(raw.bytes * bytes_, raw.ms * ms, raw.drop * lost)

    def propose(self) -> Combination | None:
        """The next combination worth trying; None when nothing better can be expected."""
        untried = [one for one in self._all if not any(one == tried.combination for tried in self.tried)]
        predicted = [(self.predict(one), one) for one in untried]
        reaching = [pair for pair in predicted if not self.goal.misses(pair[0])]
        best = self.best
        if self._quality_alone:
            new = [pair for pair in reaching if best is None or pair[0].bytes < best.found.bytes]
            found = min(new, key=lambda pair: (pair[0].bytes, pair[0].drop), default=None)
            if found is None and best is not None:
                between = [pair for pair in predicted if self._between(pair, best)]
                found = min(between, key=lambda pair: (pair[0].drop, pair[0].bytes), default=None)
        else:
            kinds = [self._pulled(one.combination) for one in self.tried if not self.goal.misses(one.found)]
            new = [pair for pair in reaching if self._pulled(pair[1]) not in kinds]
            found = min(new, key=lambda pair: (pair[0].drop, pair[0].bytes), default=None)
        if found is None and best is None and predicted:
            found = min(predicted, key=lambda pair: (self.goal.misses(pair[0]), pair[0].drop))
        return found[1] if found else None

    def tell(self, combination: Combination, found: Prediction) -> None:
        """Keep what became of a combination."""
        self.tried.append(Tried(combination, self._raw(combination), found))

    @property
    def best(self) -> Tried | None:
        """Of those that reach the goal, the one that lost least, or the smallest where quality alone was asked for."""
        reaching = [one for one in self.tried if not self.goal.misses(one.found)]
        return min(reaching, key=self._worth, default=None)

    @property
    def nearest(self) -> Tried | None:
        """The best, or where none reaches the goal the one that misses it least."""
        return self.best or min(self.tried, key=lambda one: (self.goal.misses(one.found), one.found.drop), default=None)

    @property
    def front(self) -> list[Tried]:
        """Those that no other beats in both bytes and quality, smallest first."""
        found: list[Tried] = []
        for one in sorted(self.tried, key=lambda one: (one.found.bytes, one.found.drop)):
            if not found or one.found.drop < found[-1].found.drop:
                found.append(one)
        return found

    @property
    def _quality_alone(self) -> bool:
        return self.goal.bytes is None and self.goal.ms is None

    def _between(self, pair: tuple[Prediction, Combination], best: Tried) -> bool:
        """Whether a combination is well smaller than the best, and larger than what failed by the same levers.

        Bits are not counted here: a shape that failed in fewer of them mostly fails in more.
        """
        failed = [one.combination for one in self.tried if self.goal.misses(one.found)]
        cut = self._pulled(pair[1]) - {PRECISION}
        alike = [self._weights(one) for one in failed if self._pulled(one) - {PRECISION} == cut]
        smaller = pair[0].bytes < best.found.bytes * WELL_SMALLER
        return smaller and sum(self._weights(pair[1]).values()) > max((sum(one.values()) for one in alike), default=0.0)

    def _worth(self, one: Tried) -> tuple[float, float]:
        return (one.found.bytes, one.found.drop) if self._quality_alone else (one.found.drop, one.found.bytes)

    def _pulled(self, combination: Combination) -> frozenset[str]:
        """The levers that a combination pulls, whichever way."""
        return frozenset(
            name for name, setting in combination.items() if setting != next(iter(self.survey.levers[name]))
        )

    def _raw(self, combination: Combination) -> Prediction:
        """The prediction from levers alone."""
        survey, left = self.survey, self._weights(combination)
        precision = combination[PRECISION]
        size = survey.overhead + sum(count * survey.bits[precision][part] / 8 for part, count in left.items())
        whole = survey.whole.weights.get(MATRICES, 0)
        ms = survey.ms[precision] * (left[MATRICES] / whole if whole else 1.0)
        return Prediction(size, ms, sum(self._damage[name][value] for name, value in combination.items()))

    def _weights(self, combination: Combination) -> dict[str, float]:
        """The numbers that a combination should leave of each part."""
        chosen = [self.survey.levers[name][setting].weights for name, setting in combination.items()]
        whole = self.survey.whole.weights
        return {part: n and n * math.prod(one[part] / n for one in chosen) for part, n in whole.items()}

    def _corrections(self) -> tuple[float, float, float]:
        """What trials showed predictions to be off by: geometric means for bytes and ms, quality lost for each nat."""
        if not self.tried:
            return 1.0, 1.0, FIRST_GUESS
        sizes = [one.found.bytes / one.predicted.bytes for one in self.tried]
        times = [one.found.ms / one.predicted.ms for one in self.tried if one.predicted.ms > 0]
        damage = sum(one.predicted.drop for one in self.tried)
        lost = sum(max(0.0, one.found.drop) for one in self.tried)
        return _mean(sizes), _mean(times), max(lost / damage, 1e-3) if damage > 0 else FIRST_GUESS


def _mean(factors: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, factors)) / len(factors)) if factors else 1.0


def _growing(settings: Mapping[str, Seen]) -> dict[str, float]:
    """The damage of each setting of a lever, mildest first, which is no less where more is cut."""
    made: dict[str, float] = {}
    floor, before = 0.0, 1
    for setting, seen in settings.items():
        count = max(1, sum(seen.weights.values()))
        floor = max(seen.damage, floor * before / count if count < before else 0.0)
        made[setting], before = floor, count
    return made
