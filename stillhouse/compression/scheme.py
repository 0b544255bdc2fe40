"""Scheme: how many bits each kind of number in a graph gets, and how the ranges of activations are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final, get_args

from stillhouse.errors import UsageError

__all__ = ["Embeddings", "Matrices", "Method", "Scheme"]

Matrices = Literal["float32", "float16", "bfloat16", "int8", "int8-static", "int4"]
Embeddings = Literal[4, 8, 32]
Method = Literal["min-max", "entropy", "percentile"]


@final
@dataclass(frozen=True)
class Scheme:
    """How many bits each kind of number gets.

    `int8` measures activations as they come: for transformers, words and static students. `int8-static` measures them
    beforehand on samples: for convolutions. `int4` has 4-bit weights in blocks, `float16` and `bfloat16` keep weights
    in half the bytes; with `arithmetic` the graph also computes in float16, as graphics processors do fast.
    """

    matrices: Matrices = "int8"
    embeddings: Embeddings | None = None
    """Bits of tables that are looked up in; by default 8 beside integers, and as the matrices beside floats."""
    block: int = 32
    """Weights that share a scale where they have 4 bits."""
    method: Method = "min-max"
    """How the range of an activation is chosen: all that was seen, the least information lost, or a percentile."""
    percentile: float = 99.99
    """Share of values inside the range, in percent, on each side."""
    narrow: bool = False
    """Weights of 7 bits: for processors without VNNI, where sums of full 8 bits overflow."""
    arithmetic: bool = False
    """Compute in float16, too."""
    keep: tuple[str, ...] = ()
    """Names of nodes that stay as they are."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("matrices", self.matrices, get_args(Matrices)),
            ("embeddings", self.embeddings, (*get_args(Embeddings), None)),
            ("method", self.method, get_args(Method)),
            ("block", self.block, (16, 32, 64, 128, 256)),
        ):
            if value not in known:
                raise UsageError(f"A scheme's {name} is one of {', '.join(map(str, known))}; it is {value!r}.")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"A scheme's percentile is above 50 and at most 100; it is {self.percentile}.")
        if self.arithmetic and self.matrices != "float16":
            raise UsageError(
                f"Arithmetic as short as the weights is offered for float16, not for {self.matrices}: ONNX Runtime "
                "has no bfloat16 matrix product for processors, and integers are computed in as they are."
            )

    @classmethod
    def named(cls, name: str) -> Scheme:
        """The scheme of a name such as `int8`, `int8+int4` (embeddings of 4 bits), `int4+int8` or `bfloat16`."""
        matrices, *tables = name.split("+", 1)
        bits = {(): None, ("int4",): 4, ("int8",): 8, ("float32",): 32}
        if matrices not in get_args(Matrices) or tuple(tables) not in bits:
            raise UsageError(
                f"{name!r} is no form of a student. Give one of {', '.join(get_args(Matrices))}, and for its "
                "embeddings, if they shall differ, +int4, +int8 or +float32."
            )
        return cls(matrices=matrices, embeddings=bits[tuple(tables)])  # pyright: ignore[reportArgumentType]

    @property
    def tables(self) -> int:
        """Bits of tables that are looked up in."""
        if self.embeddings is not None:
            return self.embeddings
        return {"int8": 8, "int8-static": 8, "int4": 4}.get(self.matrices, 32)

    @property
    def name(self) -> str:
        """What `named` reads; `precision` in a bundle's manifest."""
        plain = self.embeddings is None or self.tables == Scheme(self.matrices).tables
        return self.matrices if plain else f"{self.matrices}+{'float' if self.tables == 32 else 'int'}{self.tables}"

    @property
    def needs_samples(self) -> bool:
        """Whether activations must be seen before."""
        return self.matrices == "int8-static"
