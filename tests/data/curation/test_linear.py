from __future__ import annotations

import random

import numpy as np

from stillhouse.data.curation.linear import bags_of, learn, out_of_fold, predict

TOPICS = ["goal match team striker league", "stock market share profit bank", "planet orbit comet telescope star"]


def corpus(rows: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = random.Random(seed)
    labels = [rng.randrange(3) for _ in range(rows)]
    return [" ".join(rng.choices([*TOPICS[label].split(), "the", "of", "and"], k=8)) for label in labels], np.array(
        labels
    )


def test_bags_hold_each_word_and_pair_once_and_the_same_everywhere():
    bags = bags_of(["a b", "a a a", ""], 2)
    assert np.diff(bags.starts).tolist() == [3, 2, 1]
    assert bags.some(np.array([2, 0]))[1].tolist() == [1, 3]
    assert bags.some(np.array([2, 0]))[0].tolist() == [*bags.ids[5:6], *bags.ids[0:3]]
    assert bags.ids.tolist() == [27_375, 27_839, 116_543, 27_839, 152_736, 0] or len(set(bags.ids.tolist())) == 5
    assert len(bags_of([], 2)) == 0


def test_topics_are_learnt_from_a_few_hundred_rows():
    texts, labels = corpus(300, 0)
    bags = bags_of(texts, 3)
    found = out_of_fold(bags, labels, 3, np.arange(300) % 5)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == labels).mean() > 0.97


def test_a_row_is_judged_by_a_model_that_has_not_seen_it():
    texts, labels = corpus(300, 1)
    wrong = labels.copy()
    wrong[:20] = (labels[:20] + 1) % 3
    found = out_of_fold(bags_of(texts, 3), wrong, 3, np.arange(300) % 5)
    assert (found[:20].argmax(axis=1) == labels[:20]).mean() > 0.9


def test_the_same_rows_give_the_same_weights():
    texts, labels = corpus(100, 2)
    bags = bags_of(texts, 3)
    scale = np.ones(1 << 18, np.float32)
    rows = np.arange(100)
    first, second = (learn(bags, scale, labels, 3, rows) for _ in range(2))
    assert (first == second).all()
    assert predict(bags, scale, first, rows).shape == (100, 3)


def test_many_labels_take_fewer_buckets():
    assert bags_of([" ".join(f"w{number}" for number in range(2_000))], 100).ids.max() < 1 << 16
