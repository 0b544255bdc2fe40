"""Prices: what a teacher takes for a million tokens, by a short list that users overrule, and what a call costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import final
from urllib.parse import urlsplit

from stillhouse.errors import UsageError

__all__ = ["AS_OF", "Price", "known_price", "read_price"]

MILLION = Decimal(1_000_000)

AS_OF = "2025"
"""The year of the list prices below. Prices change: what the user says goes before them."""

LISTED = {
    "api.openai.com": {
        "gpt-4o-mini": ("0.15", "0.60"),
        "gpt-4o": ("2.50", "10.00"),
        "gpt-4.1-nano": ("0.10", "0.40"),
        "gpt-4.1-mini": ("0.40", "1.60"),
        "gpt-4.1": ("2.00", "8.00"),
        "gpt-5-nano": ("0.05", "0.40"),
        "gpt-5-mini": ("0.25", "2.00"),
        "gpt-5": ("1.25", "10.00"),
        "o3": ("2.00", "8.00"),
        "o4-mini": ("1.10", "4.40"),
    }
}
"""US dollars for a million tokens read and written, by the host of the API and the model without its date."""


@final
@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in any currency; sums are exact."""

    read: Decimal = Decimal(0)
    written: Decimal = Decimal(0)

    def cost(self, prompt: int, completion: int) -> Decimal:
        """What a call costs that read and wrote so many tokens."""
        return (self.read * prompt + self.written * completion) / MILLION

    @property
    def is_free(self) -> bool:
        """Whether nothing is paid."""
        return not (self.read or self.written)


def known_price(url: str, model: str) -> Price | None:
    """The list price of a model at the API that sells it, a dated version by the price of its model; else None."""
    listed = LISTED.get(urlsplit(url).hostname or "", {})
    for name, (read, written) in listed.items():
        dated = model.removeprefix(f"{name}-")
        if model == name or (dated != model and dated.replace("-", "").isdecimal()):
            return Price(Decimal(read), Decimal(written))
    return None


def read_price(read: float, written: float) -> Price:
    """The price that a user gave, digit by digit as it was written; raises UsageError where it is none."""
    found = Price(Decimal(repr(read)), Decimal(repr(written)))
    if not (found.read.is_finite() and found.written.is_finite() and min(found.read, found.written) >= 0):
        raise UsageError(f"A price is 0 or more for a million tokens; it is {read} and {written}.")
    return found
