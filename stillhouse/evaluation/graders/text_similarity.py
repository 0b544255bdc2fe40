"""TextSimilarity: how alike two texts are, by a metric of the literature or by their embeddings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from stillhouse.errors import StillhouseError, TemplateError
from stillhouse.evaluation.graders.grader import Grade, errored, variables
from stillhouse.evaluation.graders.text_metrics import METRICS
from stillhouse.evaluation.templates import fill
from stillhouse.wire.graders import TextSimilarity

__all__ = ["Embed", "TextSimilarityGrader", "cosine"]

LONG = 20_000
"""From so many characters on, a metric is computed in a thread, so that others are served meanwhile."""


class Embed(Protocol):
    """Texts in, a vector of each out."""

    async def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


@final
@dataclass(frozen=True, slots=True)
class TextSimilarityGrader:
    """Passes at or above its threshold; `cosine` needs an embedder."""

    spec: TextSimilarity
    embed: Embed | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    async def __call__(self, item: Mapping[str, Any], sample: Mapping[str, Any] | None) -> Grade:
        """The metric's value, 0..1."""
        known = variables(item, sample)
        try:
            score = await self._measure(fill(self.spec.input, known), fill(self.spec.reference, known))
        except TemplateError as error:
            return errored("invalid_variable_error", str(error))
        except StillhouseError as error:
            return errored("other_error", str(error))
        return Grade(score, score >= self.spec.pass_threshold)

    async def _measure(self, text: str, reference: str) -> float:
        if self.spec.metric != "cosine":
            metric = METRICS[self.spec.metric]
            if len(text) + len(reference) > LONG:
                return await asyncio.to_thread(metric, text, reference)
            return metric(text, reference)
        if self.embed is None:
            raise StillhouseError("The metric 'cosine' needs an embedder, and none is configured.")
        return cosine(*await self.embed([text, reference]))


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors, 0 where it is negative or a vector has no length."""
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    length = math.hypot(*one) * math.hypot(*other)
    return min(1.0, max(0.0, product / length)) if length else 0.0
