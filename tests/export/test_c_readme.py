"""The page beside a student in C names what it takes and how it is called."""

from __future__ import annotations

import numpy as np

from stillhouse.export.c_build import Footprint
from stillhouse.export.c_readme import read_me
from stillhouse.export.c_source import Answers, Source
from stillhouse.export.c_words import words_source

ANSWERS = Answers((("a", "b"), ("c",)), (1.0, 1.0))


def test_it_names_sizes_and_calls():
    text = words_source(np.ones((8, 3)), np.zeros(3), 16, ANSWERS)
    page = read_me(text, "desk", Footprint(12_345, 678, 90, 11, "gcc 12"))
    assert "# desk in C" in page
    assert "12,345 bytes of flash" in page
    assert "echo" in page
    assert "of each field" in page
    assert "two\nhashes" in page or "two hashes" in page
    image = Source("image", ("image.c",), Answers((("a", "b"),), (1.0,)))
    page = read_me(image, "net", None)
    assert "was not compiled" in page
    assert "pixels" in page
    assert "What it reads" not in page
    assert "of each field" not in page
