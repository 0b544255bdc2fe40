"""Sets of characters survive being packed, and letters are what Python says."""

from __future__ import annotations

from stillhouse.export.c_unicode import every_character, letter_tables, packed_set


def unpacked(packed: bytes) -> list[int]:
    """Where a packed set begins and ends."""
    edges, edge, distance, shift = [], 0, 0, 0
    for byte in packed:
        distance |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            edge += distance
            edges.append(edge)
            distance, shift = 0, 0
    return edges


def test_a_set_is_where_it_begins_and_ends():
    assert unpacked(packed_set("abcx").tobytes()) == [97, 100, 120, 121]
    assert unpacked(packed_set("\0\U0010ffff").tobytes()) == [0, 1, 0x10FFFF, 0x110000]
    assert unpacked(packed_set("").tobytes()) == [0x110000]


def test_letters_are_those_of_python():
    tables = letter_tables()
    edges = unpacked(tables["unicode_spaces"].tobytes())
    inside = {chr(code) for first, last in zip(edges[::2], edges[1::2], strict=True) for code in range(first, last)}
    assert inside == {c for c in every_character() if c.isspace()}


def test_runs_lower_every_letter_but_the_two_that_are_told_apart():
    lowered = {}
    for first, last, step, add in letter_tables()["unicode_lower"].tolist():
        for code in range(first, last + 1, step):
            lowered[chr(code)] = chr((code + add) % 2**32)
    assert lowered == {c: c.lower() for c in every_character(128) if c.lower() != c and c not in ("\u03a3", "\u0130")}
    assert all(len(c.lower()) == 1 for c in every_character() if c != "\u0130")
