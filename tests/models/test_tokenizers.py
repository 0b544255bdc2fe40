"""Text becomes ids the same way one by one and in batches, in training and in serving."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from stillhouse.bundle.manifest import Featurizer
from stillhouse.models.tokenizers import NgramReader, TokenizerReader, end_read, open_reader, pad, read_ids
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


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_text_is_cut_in_serving_where_it_was_cut_in_training(side, tmp_path):
    tiny.wordpiece().save(str(tmp_path / "tokenizer.json"))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tiny.wordpiece(), pad_token="[UNK]", truncation_side=side)
    text = "please where is my parcel now"
    taught = read_ids([text], wrapped, 5)[0][0].tolist()
    served = open_reader(Featurizer("tokenizer", 5, keep=end_read(wrapped)), tmp_path)
    assert served.ids([text])[0].tolist() == taught
    assert served.ids([text, text])[1].tolist() == taught
    assert end_read(tiny.wordpiece()) == "start"


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


def test_ids_are_read_by_tokenizers_of_either_kind_which_stay_as_they_were():
    own = tiny.wordpiece()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tiny.wordpiece(), pad_token="[UNK]", unk_token="[UNK]")
    text = "where is my parcel now"
    for tokenizer, padding in ((own, 0), (wrapped, 1)):
        found, filling = read_ids([text, "late"], tokenizer, 4)
        assert [ids.tolist() for ids in found] == [[*own.encode(text).ids[:3], 3], own.encode("late").ids]
        assert filling == padding
    assert own.truncation is None


def test_a_tokenizer_that_pads_or_cuts_is_read_without_and_keeps_its_settings():
    own, plain = tiny.wordpiece(), tiny.wordpiece()
    own.enable_truncation(2)
    own.enable_padding(length=9)
    texts = ["where is my parcel now", "late"]
    assert [ids.tolist() for ids in read_ids(texts, own, 6)[0]] == [
        ids.tolist() for ids in read_ids(texts, plain, 6)[0]
    ]
    assert (own.truncation["max_length"], own.padding["length"]) == (2, 9)


def test_short_rows_can_be_filled_with_another_id():
    ids, mask = pad([np.array([5]), np.array([6, 7])], padding=9)
    assert ids.tolist() == [[5, 9], [6, 7]]
    assert mask.tolist() == [[1, 0], [1, 1]]
