from __future__ import annotations

import numpy as np

from stillhouse.data.curation.clusters import centres_of, distinctive_words, nearest


def around(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points near four corners, and which."""
    random = np.random.default_rng(seed)
    corner = random.integers(0, 4, count)
    made = np.eye(8)[corner] + random.normal(0, 0.05, (count, 8))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32), corner


def test_planted_clusters_are_found():
    vectors, corner = around(400, 0)
    found = nearest(vectors, centres_of(vectors, 4, 0))
    assert len({(ours, theirs) for ours, theirs in zip(found.tolist(), corner.tolist(), strict=True)}) == 4


def test_the_same_seed_gives_the_same_centres():
    vectors, _ = around(200, 1)
    assert (centres_of(vectors, 5, 3) == centres_of(vectors, 5, 3)).all()


def test_zeros_are_in_no_cluster_and_no_more_centres_than_points():
    vectors = np.vstack([around(2, 2)[0], np.zeros((1, 8), np.float32)])
    centres = centres_of(vectors, 10, 0)
    assert 1 <= len(centres) <= 2
    assert nearest(vectors, centres)[2] == -1
    nothing = np.zeros((3, 8), np.float32)
    assert nearest(nothing, centres_of(nothing, 2, 0)).tolist() == [-1, -1, -1]


def test_clusters_are_named_by_the_words_that_set_them_apart():
    texts = ["the parcel is late today"] * 5 + ["the password is forgotten today"] * 5 + ["lost"]
    names = distinctive_words(texts, np.array([0] * 5 + [1] * 5 + [-1]), 2)
    assert names[0].split(", ")[:2] == ["late", "parcel"]
    assert names[1].split(", ")[:2] == ["forgotten", "password"]
