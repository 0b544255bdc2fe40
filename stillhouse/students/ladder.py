"""The ladder: candidate students from cheapest to dearest."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from stillhouse.errors import UsageError
from stillhouse.extras import EXTRAS, install

__all__ = ["AUTO", "Rung", "climb"]

AUTO = "auto"
_FAMILIES = ("words", "static", "encoder-K")


@dataclass(frozen=True)
class Rung:
    """A candidate: its family and, for an encoder, how many layers it keeps."""

    family: Literal["words", "static", "encoder"]
    layers: int = 0

    @property
    def name(self) -> str:
        return self.family if self.family != "encoder" else f"encoder-{self.layers}"


def climb(names: tuple[str, ...], encoder_layers: int) -> tuple[Rung, ...]:
    """The rungs that `--student` names, cheapest first.

    `auto` is every family: words, static, and the encoder cut to a third, to a half, and whole.
    `encoder_layers` is 0 when there is no encoder; then only words and static can be had.
    """
    sizes = {max(1, round(encoder_layers / 3)), max(1, round(encoder_layers / 2)), encoder_layers}
    every = ("words", "static", *(f"encoder-{size}" for size in sizes if encoder_layers))
    rungs = {_rung(name, encoder_layers) for given in names for name in (every if given == AUTO else (given,))}
    return tuple(sorted(rungs, key=lambda rung: (("words", "static", "encoder").index(rung.family), rung.layers)))


def _rung(name: str, encoder_layers: int) -> Rung:
    if name == "words":
        return Rung("words")
    if name == "static":
        return Rung("static")
    found = re.fullmatch(r"encoder-([1-9]\d*)", name)
    if found is None:
        near = difflib.get_close_matches(name, [AUTO, "words", "static", "encoder-2"], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"There is no student {name!r}; choose {AUTO}, or of {', '.join(_FAMILIES)}.{hint}")
    if not encoder_layers:
        raise UsageError(
            f"{name} needs an encoder to be cut from, and there is none. "
            f"Give --encoder, or {install(EXTRAS['minilm'])}."
        )
    layers = int(found.group(1))
    if layers > encoder_layers:
        raise UsageError(f"{name} cannot be cut from an encoder of {encoder_layers} layers; choose 1 to it.")
    return Rung("encoder", layers)
