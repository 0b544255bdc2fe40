"""Numbers, sizes and foreign texts as people read them."""

from __future__ import annotations

import math
import unicodedata

__all__ = [
    "count",
    "duration",
    "millions",
    "millis",
    "money",
    "percent",
    "printable",
    "shorten",
    "size",
    "watt_hours",
    "whole_percent",
]

UNKNOWN = "unknown"


def percent(share: float, digits: int = 1) -> str:
    """`0.9731` as `97.3 %`; never rounds up to 100 or down to 0 what is not exactly that."""
    if not math.isfinite(share):
        return UNKNOWN
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    smallest = 10.0**-digits
    if 0 < share < 1:
        return f"{min(max(100 * share, smallest), 100 - smallest):.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def whole_percent(share: float) -> str:
    """`0.02` as `2 %`, `0.025` as `2.5 %`: for shares a person picked."""
    return f"{100 * share:.6g} %" if math.isfinite(share) else UNKNOWN


def count(number: float) -> str:
    """`12345` as `12,345`."""
    return f"{number:,.0f}" if math.isfinite(number) else UNKNOWN


def _digits(value: float) -> str:
    """Three significant digits, two below one, without an exponent."""
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, (2 if power >= 0 else 1) - power)}f}"


def millions(number: float) -> str:
    """`10800000` as `10.8 M`, `4200` as `4.2 k`."""
    if not math.isfinite(number):
        return UNKNOWN
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f}"


def size(number: float) -> str:
    """Bytes in decimal units: `4200000` as `4.2 MB`."""
    if not math.isfinite(number):
        return UNKNOWN
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def millis(value: float) -> str:
    """Milliseconds: `1.85 ms`, `0.41 ms`."""
    return f"{_digits(value)} ms" if math.isfinite(value) else UNKNOWN


def duration(seconds: float) -> str:
    """`372` as `6 min 12 s`."""
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def money(usd: float) -> str:
    """US dollars: cents from one dollar on, two significant digits below, nothing finer than a tenth of a cent."""
    if not math.isfinite(usd):
        return UNKNOWN
    if 0 < usd < 0.001:
        return "under $0.001"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${_digits(usd)}"


def watt_hours(value: float) -> str:
    """Energy: `2.31 Wh`, `0.054 Wh`."""
    return f"{_digits(value)} Wh" if math.isfinite(value) else UNKNOWN


TURNS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""Characters that turn the direction of all that follows; plain right-to-left letters need none of them."""


def printable(text: str) -> str:
    """A text without control characters and without marks that would turn the words after it; line ends stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(TURNS)
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" else char for char in text
    )


def shorten(text: str, limit: int) -> str:
    """A text on one line (`⏎` marks a line's end) of at most `limit` characters; an empty one says so."""
    line = printable(text).replace("\n", " ⏎ ").strip() or "(empty)"
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
