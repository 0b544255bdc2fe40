"""Metrics: what the gateway counts, in Prometheus' words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stillhouse.chat import Route

__all__ = ["Metrics", "Price", "Tally"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1)
CALLS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, read and written."""

    read: float
    written: float

    def of(self, read: int, written: int) -> float:
        """What so many tokens cost."""
        return (read * self.read + written * self.written) / 1e6


@dataclass(slots=True)
class Tally:
    """What one request turned out to be, filled in on its way; only names that are served get in."""

    model: str = ""
    route: Route | None = None
    price: Price | None = None
    read: int = 0
    written: int = 0

    def count(self, usage: object) -> None:
        """Take the tokens of an answer from its `usage`, when it has one."""
        if isinstance(usage, dict):
            told = cast(dict[str, Any], usage)
            self.read, self.written = _whole(told.get("prompt_tokens")), _whole(told.get("completion_tokens"))

    @property
    def cost(self) -> float | None:
        """What those tokens cost, where that is known."""
        return self.price.of(self.read, self.written) if self.price and (self.read or self.written) else None


@final
class Metrics:
    """The counters of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "stillhouse_requests",
            "Requests, by the model asked for, who answered, why (the reason or the flag) and HTTP status.",
            ("model", "route", "why", "status"),
            registry=self._registry,
        )
        self._seconds = self._histogram(
            "stillhouse_request_seconds", "From a request to the end of its answer.", ("model", "route"), SECONDS
        )
        self._confidence = self._histogram(
            "stillhouse_student_confidence", "The student's, whoever answered in the end.", ("model",), CONFIDENCES
        )
        self._tokens = Counter(
            "stillhouse_tokens",
            "Tokens read and written, where the answer told them; of streams only those that are kept.",
            ("model", "route", "kind"),
            registry=self._registry,
        )
        self._cost = Counter(
            "stillhouse_cost",
            "What teachers' tokens cost, by the prices in stillhouse.toml.",
            ("model",),
            registry=self._registry,
        )
        self._batch_size = self._histogram(
            "stillhouse_batch_size", "Calls that a student answered together.", ("model",), CALLS
        )
        self.in_flight = Gauge("stillhouse_requests_in_flight", "Requests being answered now.", registry=self._registry)

    def count(self, tally: Tally, status: int, seconds: float) -> None:
        """Add one finished request."""
        route = tally.route
        who, why = (route.who, route.reason or route.flag or "") if route else ("none", "")
        self._requests.labels(tally.model, who, why, str(status)).inc()
        self._seconds.labels(tally.model, who).observe(seconds)
        if route and route.confidence is not None:
            self._confidence.labels(tally.model).observe(route.confidence)

        for kind, tokens in (("read", tally.read), ("written", tally.written)):
            if tokens:
                self._tokens.labels(tally.model, who, kind).inc(tokens)
        if tally.cost is not None:
            self._cost.labels(tally.model).inc(tally.cost)

    def count_batch(self, model: str, size: int) -> None:
        """Add one batch that a student answered."""
        self._batch_size.labels(model).observe(size)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, help: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, help, labels, buckets=buckets, registry=self._registry)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
