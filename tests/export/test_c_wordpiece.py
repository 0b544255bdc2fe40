"""A WordPiece tokenizer in C reads every text as the tokenizer itself does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from stillhouse.errors import UsageError
from stillhouse.export.c_source import Answers
from stillhouse.export.c_static import static_source
from stillhouse.export.c_wordpiece import read_wordpiece
from stillhouse.models.load import load_tokenizer
from stillhouse.models.tokenizers import TokenizerReader
from stillhouse.students.vocabulary import trim
from tests.export.c_programs import rows_read, written
from tests.export.texts import HARD, at_random, every_character
from tests.models import tiny

COUNT = "(row_count < STATIC_LONGEST ? row_count : STATIC_LONGEST)"
ROW = "rows[(row_count < STATIC_LONGEST ? at : row_count + at) % STATIC_LONGEST]"


def whole() -> Tokenizer:
    return Tokenizer.from_str(load_tokenizer("minilm").backend_tokenizer.to_str())


def spec_of(tokenizer: Tokenizer) -> dict:
    return json.loads(tokenizer.to_str())


def read_by_c(tokenizer: Tokenizer, texts: list[str], longest: int, folder) -> list[list[int]]:
    """The tokenizer's ids of texts, without what it adds to each, by the C code."""
    spec = spec_of(tokenizer)
    tokens = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    width = 2
    weights = {
        "vectors.weight": np.ones((tokens, width)),
        "weights.weight": np.zeros((tokens, 1)),
        "norm.weight": np.ones(width),
        "norm.bias": np.zeros(width),
        "hidden.weight": np.ones((width, width)),
        "hidden.bias": np.zeros(width),
        "head.weight": np.ones((2, width)),
        "head.bias": np.zeros(2),
    }
    made = written(static_source(weights, 1e-5, spec, longest, Answers((("a", "b"),), (1.0,))), folder)
    order = read_wordpiece(spec, longest).order
    return [[order[row] for row in rows] for rows in rows_read(made, texts, COUNT, ROW)]


def read_by_itself(tokenizer: Tokenizer, texts: list[str], longest: int) -> list[list[int]]:
    found = TokenizerReader(Tokenizer.from_str(tokenizer.to_str()), longest).ids(texts)
    return [ids.tolist()[1:-1] for ids in found]


TEXTS = [text.replace("\n", " ") for text in (*HARD, *at_random(200), *every_character()[::17])]


@pytest.mark.parametrize("kind", [pytest.param("whole", marks=pytest.mark.slow), "trimmed", "tiny"])
def test_it_reads_every_text_as_the_tokenizer_does(kind, tmp_path):
    made = {
        "whole": whole,
        "trimmed": lambda: trim(whole(), ["where is my parcel", "naïve café refund 3.14"])[0],
        "tiny": tiny.wordpiece,
    }[kind]()
    expected, found = read_by_itself(made, TEXTS, 64), read_by_c(made, TEXTS, 64, tmp_path)
    wrong = [text for text, one, other in zip(TEXTS, expected, found, strict=True) if one != other]
    assert wrong == []


@pytest.mark.parametrize(
    "settings",
    [
        (False, False, False, False),
        pytest.param((True, True, False, True), marks=pytest.mark.slow),
        pytest.param((True, False, True, False), marks=pytest.mark.slow),
    ],
)
def test_every_setting_of_the_normaliser_is_followed(settings, tmp_path):
    spec = spec_of(tiny.wordpiece())
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    spec["normalizer"] = {"type": "BertNormalizer", **dict(zip(names, settings, strict=True))}
    made = Tokenizer.from_str(json.dumps(spec))
    assert read_by_c(made, TEXTS[::3], 64, tmp_path) == read_by_itself(made, TEXTS[::3], 64)


def test_of_a_long_text_the_end_is_kept(tmp_path):
    texts = ["refund parcel " * 40, "where is my parcel", "late"]
    found = read_by_c(tiny.wordpiece(), texts, 7, tmp_path)
    assert found == read_by_itself(tiny.wordpiece(), texts, 7)
    assert len(found[0]) == 5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "Whitespace"),
        ({"normalizer": None}, "none"),
        ({"post_processor": {"type": "ByteLevel"}}, "ByteLevel"),
    ],
)
def test_another_kind_of_tokenizer_is_refused(change, told):
    with pytest.raises(UsageError, match=told):
        read_wordpiece({**spec_of(tiny.wordpiece()), **change}, 16)


def test_tokens_that_are_found_by_other_rules_are_refused():
    spec = spec_of(tiny.wordpiece())
    spec["added_tokens"][0]["lstrip"] = True
    with pytest.raises(UsageError, match="rules"):
        read_wordpiece(spec, 16)
    with pytest.raises(UsageError, match="no text is left"):
        read_wordpiece(spec_of(tiny.wordpiece()), 2)


def test_a_tokenizer_that_adds_and_finds_no_special_tokens_reads_too(tmp_path):
    spec = {**spec_of(tiny.wordpiece()), "post_processor": None, "added_tokens": []}
    made = Tokenizer.from_str(json.dumps(spec))
    texts = ["where [SEP] is", "", "refund " * 20]
    found = read_by_c(made, texts, 8, tmp_path)
    assert found == [made.encode(text).ids[-8:] for text in texts]
