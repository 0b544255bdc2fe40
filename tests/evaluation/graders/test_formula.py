"""Formulas compute as school teaches, and hold nothing but arithmetic."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import FormulaError
from stillhouse.evaluation.graders.formula import Formula

SCORES = {"a": 2.0, "b": 3.0, "zero": 0.0}


def compute(text: str, scores=SCORES) -> float:
    return Formula.read(text, scores.keys()).compute(scores)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * 2", 8), ("(a + b) * 2", 10), ("a - b - 1", -2), ("a / b / 2", 1 / 3), ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4), ("2 ^ -1", 0.5), ("a^2 + 1", 5), ("2 * a ^ b", 16), ("+a - -b", 5), ("1.5e1", 15),
        ("min(a, b)", 2), ("max(a, b, 7)", 7), ("min(a)", 2), ("abs(a - b)", 1), ("floor(2.7)", 2), ("ceil(2.1)", 3),
        ("floor(-2.5)", -3), ("exp(1)", math.e), ("sqrt(a + 2)", 2), ("log(exp(b))", 3), ("0.6*a + 0.4*b", 2.4),
        ("\n a\n", 2),
    ],
)  # fmt: skip
def test_values(text, value):
    assert compute(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["a / zero", "log(zero)", "log(-1)", "sqrt(-1)", "(-8) ^ (1 / 3)", "zero ^ -1", "exp(1000)", "10 ^ 1000",
     "1e999", "1e999 - 1e999", "9" * 400, "1e200 * 1e200"],
)  # fmt: skip
def test_what_gives_no_finite_number_is_an_error(text):
    with pytest.raises(FormulaError):
        compute(text)


@pytest.mark.parametrize(
    "text",
    ["", "a +", "a b", "a ** b", "a % b", "a // b", "a if b else 1", "a < b", "a and b", "[a]", "a.real", "a[0]",
     "'a'", "True", "1j", "lambda: 1", "print(1)", "__import__('os')", "().__class__", "min()", "sqrt(1, 2)",
     "min(*a)", "min(a, key=b)", "(a := 1)", "f'{a}'", "unknown + 1", "min", "a\nb", "~a", "not a", "a @ b", "None",
     "(" * 300 + "a" + ")" * 300, "-" * 300 + "a", "+".join("a" * 300), "a" * 5000, "\0", "a # + b \n ; b"],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text):
    with pytest.raises(FormulaError):
        compute(text)


def test_a_formula_says_what_it_does_not_know():
    with pytest.raises(FormulaError, match="names c, d, but there is only a, b"):
        Formula.read("c + d + a", ["a", "b"])


numbers = st.floats(-100, 100).map(lambda number: round(number, 3))
trees = st.recursive(
    numbers | st.sampled_from(["a", "b"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner),
    max_leaves=12,
)


def written(tree) -> str:
    return f"({written(tree[0])} {tree[1]} {written(tree[2])})" if isinstance(tree, tuple) else str(tree)


@given(trees)
def test_it_agrees_with_python(tree):
    text = written(tree)
    assert compute(text) == pytest.approx(float(eval(text, {"a": 2.0, "b": 3.0})))


@given(st.text("ab0123456789.+-*/^() ,minxqrtlogefp", max_size=30))
def test_any_text_gives_a_finite_number_or_the_one_error(text):
    with suppress(FormulaError):
        assert math.isfinite(compute(text))
