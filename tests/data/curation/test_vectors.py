from __future__ import annotations

import numpy as np

from stillhouse.data.curation.vectors import hashed_vectors

TEXTS = [
    "my parcel is late",
    "where is my late parcel",
    "reset the password",
    "i forgot the password",
    "reset my password",
]


def test_texts_about_the_same_are_nearer():
    made = hashed_vectors(TEXTS)(TEXTS)
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
    assert made[0] @ made[1] > made[0] @ made[2]
    assert made[2] @ made[4] > made[2] @ made[1]


def test_texts_without_a_telling_word_have_no_direction():
    made = hashed_vectors(TEXTS)(["", "🙂", "unheard"])
    assert not made.any()
    assert made.dtype == np.float32


def test_the_same_texts_give_the_same_vectors():
    assert (hashed_vectors(TEXTS)(TEXTS) == hashed_vectors(TEXTS)(TEXTS)).all()
