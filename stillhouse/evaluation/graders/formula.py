"""Formulas over scores: + - * / ^, a few functions, and nothing else; read by Python's parser, computed by our own."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from stillhouse.errors import FormulaError

__all__ = ["FUNCTIONS", "Formula"]

LONGEST, DEEPEST = 4000, 100
OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = MappingProxyType(
    {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
        ast.Pow: math.pow,
    }
)
FUNCTIONS: Mapping[str, Callable[..., float]] = MappingProxyType(
    {
        "min": lambda *numbers: min(numbers),
        "max": lambda *numbers: max(numbers),
        "abs": abs,
        "floor": math.floor,
        "ceil": math.ceil,
        "exp": math.exp,
        "sqrt": math.sqrt,
        "log": math.log,
    }
)
"""`log` is the natural logarithm; `min` and `max` take one number or more, the others one."""


@final
@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was understood: what it names, and how it is computed."""

    tree: ast.expr
    names: frozenset[str]

    @classmethod
    def read(cls, text: str, known: Collection[str]) -> Formula:
        """A formula's text; raises FormulaError when it holds more than arithmetic over the `known` names."""
        if len(text) > LONGEST:
            raise FormulaError(f"The formula has {len(text)} characters; at most {LONGEST} are read.")
        if "**" in text:
            raise FormulaError("The formula holds '**': powers are written with '^'.")
        try:
            tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise FormulaError(f"The formula cannot be read: {error}.") from error
        names: set[str] = set()
        _check(tree, names, DEEPEST)
        if unknown := sorted(names.difference(known)):
            raise FormulaError(f"The formula names {', '.join(unknown)}, but there is only {', '.join(known)}.")
        return cls(tree, frozenset(names))

    def compute(self, scores: Mapping[str, float]) -> float:
        """Its value for the scores of its names; raises FormulaError for whatever gives no finite number."""
        try:
            value = _compute(self.tree, scores)
        except (ArithmeticError, ValueError) as error:
            raise FormulaError(f"The formula cannot be computed: {error}.") from error
        if not math.isfinite(value):
            raise FormulaError(f"The formula gives {value}, which is no score.")
        return value


def _check(node: ast.expr, names: set[str], depth: int) -> None:
    """Collect the names of a formula, and refuse whatever is no arithmetic."""
    if not depth:
        raise FormulaError(f"The formula is nested more than {DEEPEST} deep.")
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            pass
        case ast.Name(id=name):
            names.add(name)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, names, depth - 1)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            _check(left, names, depth - 1)
            _check(right, names, depth - 1)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            if not arguments or (len(arguments) > 1 and name not in ("min", "max")):
                raise FormulaError(f"The function '{name}' cannot take {len(arguments)} numbers.")
            for argument in arguments:
                _check(argument, names, depth - 1)
        case _:
            raise FormulaError(
                f"The formula holds '{ast.unparse(node)[:60]}'. It may hold numbers, the names of graders, + - * / ^ "
                f"and the functions {', '.join(FUNCTIONS)}."
            )


def _compute(node: ast.expr, scores: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return scores[name]
        case ast.UnaryOp(op=operator, operand=operand):
            value = _compute(operand, scores)
            return -value if isinstance(operator, ast.USub) else value
        case ast.BinOp(left=left, op=operator, right=right):
            return float(OPERATORS[type(operator)](_compute(left, scores), _compute(right, scores)))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return float(FUNCTIONS[name](*[_compute(argument, scores) for argument in arguments]))
        case _:
            raise FormulaError(f"The formula holds '{ast.unparse(node)[:60]}'.")
