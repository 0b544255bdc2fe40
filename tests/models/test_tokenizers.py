"""Text becomes ids the same way one by one and in batches, in training and in serving."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.bundle.manifest import Featurizer
from stillhouse.models.tokenizers import NgramReader, TokenizerReader, open_reader, pad
from tests.models import tiny

TEXTS = ["where is my parcel", "", "refund please", "money back now " * 10, "ünknown ☃"]


@pytest.mark.parametrize(
    "reader", [TokenizerReader(tiny.wordpiece(), 12), NgramReader(512, 40)], ids=["pieces", "grams"]
)
def test_a_text_reads_the_same_alone_and_among_others(reader):
    together = reader.ids(TEXTS)
    for text, ids in zip(TEXTS, together, strict=True):
        assert np.array_equal(reader.ids([text])[0], ids)
        assert ids.dtype == np.int64
        assert len(ids) >= 1, "never empty"


def test_of_a_long_text_the_end_is_kept():
    reader = TokenizerReader(tiny.wordpiece(), 5)
    words = [tiny.WORDS.index(word) + len(tiny.SPECIALS) for word in ("my", "parcel", "now")]
    assert reader.ids(["please where is my parcel now"])[0].tolist() == [2, *words, 3]


def test_a_tokenizer_that_adds_nothing_still_gives_an_id():
    bare = tiny.wordpiece()
    bare.post_processor = None
    reader = TokenizerReader(bare, 8)
    assert reader.ids([""])[0].tolist() == [0]
    assert [ids.tolist() for ids in reader.ids(["", "the"])] == [[0], [tiny.WORDS.index("the") + 4]]


def test_padding_that_a_tokenizer_came_with_is_off():
    padded = tiny.wordpiece()
    padded.enable_padding(length=50)
    assert len(TokenizerReader(padded, 60).ids(["the"])[0]) == 3


def test_a_reader_is_opened_as_its_featurizer_says(tmp_path):
    tiny.wordpiece().save(str(tmp_path / "tokenizer.json"))
    pieces = open_reader(Featurizer("tokenizer", 6), tmp_path)
    grams = open_reader(Featurizer("ngrams", 30, 512), tmp_path)
    for text in TEXTS:
        assert np.array_equal(pieces.ids([text])[0], TokenizerReader(tiny.wordpiece(), 6).ids([text])[0])
        assert np.array_equal(grams.ids([text])[0], NgramReader(512, 30).ids([text])[0])


def test_rows_are_padded_to_the_longest_with_a_mask():
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
