"""Checksums: the arithmetic by which a number of a person, a card or an account proves to be one."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["iso_7064", "luhn", "mod_97", "verhoeff", "weighted"]

DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Twice a digit, its digits added."""
ROTATED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
"""The permutation of Verhoeff's scheme, applied once for each place."""


def luhn(digits: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled and cast out of nines, the sum divisible by ten."""
    total = sum(map(int, digits[-1::-2])) + sum(DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def mod_97(code: str) -> bool:
    """ISO 7064 MOD 97-10 as IBANs use it: the first four to the end, letters as 10 to 35, the remainder 1."""
    turned = code[4:] + code[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def iso_7064(digits: str) -> bool:
    """ISO 7064 MOD 11,10: p ← 2·((p + d) mod 10, where 0 is 10) mod 11 over all but the last; p + last ≡ 1 mod 10."""
    carried = 10
    for digit in digits[:-1]:
        carried = ((carried + int(digit)) % 10 or 10) * 2 % 11
    return (carried + int(digits[-1])) % 10 == 1


def weighted(digits: str, weights: Sequence[int], modulus: int) -> int:
    """The sum of weights times digits, modulo something; digits beyond the weights do not count."""
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False)) % modulus


def verhoeff(digits: str) -> bool:
    """Verhoeff 1969: digits permuted by their place and multiplied in the dihedral group of ten elements make 0."""
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = _product(state, _permuted(int(digit), place % 8))
    return state == 0


def _product(one: int, other: int) -> int:
    """The product of two elements of D5: rotations are 0 to 4, reflections 5 to 9."""
    turn = (one % 5 - other % 5 if one >= 5 else one % 5 + other % 5) % 5
    return turn if (one >= 5) == (other >= 5) else turn + 5


def _permuted(digit: int, times: int) -> int:
    for _ in range(times):
        digit = ROTATED[digit]
    return digit
