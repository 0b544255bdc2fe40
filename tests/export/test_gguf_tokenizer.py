from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from stillhouse.errors import UsageError
from stillhouse.export.gguf_tokenizer import BYTE, CONTROL, UNKNOWN, read_words
from tests.export.gguf_students import bytewise, sentencepiece, unigram, wordpiece
from tests.models import tiny


def words(tokenizer: Tokenizer, tmp_path, rows: int = 600, **roles):
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    return read_words(file, rows, roles)


@pytest.mark.parametrize("split", ["gpt-2", "smollm", "qwen2", "llama-bpe", "dbrx"])
def test_byte_level_tokenizers_are_told_by_how_they_split_words(split, tmp_path):
    tokenizer = bytewise(split)
    found = words(tokenizer, tmp_path, eos=2)
    facts = found.facts
    assert (facts["tokenizer.ggml.model"], facts["tokenizer.ggml.pre"]) == ("gpt2", split)
    assert facts["tokenizer.ggml.add_bos_token"] == (split == "llama-bpe")
    assert facts["tokenizer.ggml.eos_token_id"] == 2
    assert facts["tokenizer.ggml.tokens"][: tokenizer.get_vocab_size()] == [
        tokenizer.id_to_token(id) for id in range(tokenizer.get_vocab_size())
    ]
    assert facts["tokenizer.ggml.token_type"][:4] == [CONTROL] * 3 + [1]
    assert all(" " in merge for merge in facts["tokenizer.ggml.merges"])
    assert found.notes == ()


def test_sentencepiece_scores_earlier_merges_higher(tmp_path):
    tokenizer = sentencepiece()
    facts = words(tokenizer, tmp_path).facts
    assert facts["tokenizer.ggml.model"] == "llama"
    assert facts["tokenizer.ggml.add_space_prefix"]
    assert (facts["tokenizer.ggml.bos_token_id"], facts["tokenizer.ggml.unknown_token_id"]) == (1, 0)
    kinds, tokens = facts["tokenizer.ggml.token_type"], facts["tokenizer.ggml.tokens"]
    assert kinds.count(BYTE) == 256
    assert kinds[:3] == [UNKNOWN, CONTROL, CONTROL]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    score = dict(zip(tokens, facts["tokenizer.ggml.scores"], strict=True))
    assert score["".join(merges[0])] > score["".join(merges[5])] > score["".join(merges[-1])]


def test_unigram_keeps_its_scores(tmp_path):
    tokenizer = unigram()
    facts = words(tokenizer, tmp_path).facts
    assert facts["tokenizer.ggml.model"] == "t5"
    for id, (token, score) in enumerate(json.loads(tokenizer.to_str())["model"]["vocab"]):
        assert facts["tokenizer.ggml.tokens"][id] == token
        assert facts["tokenizer.ggml.scores"][id] == score
    assert facts["tokenizer.ggml.remove_extra_whitespaces"]
    assert (facts["tokenizer.ggml.add_bos_token"], facts["tokenizer.ggml.add_eos_token"]) == (True, True)


@pytest.mark.parametrize("lowercase", [True, False])
def test_wordpiece_marks_where_words_begin(lowercase, tmp_path):
    tokenizer = wordpiece(lowercase)
    found = words(tokenizer, tmp_path)
    facts = found.facts
    assert facts["tokenizer.ggml.model"] == "bert"
    assert facts["tokenizer.ggml.normalizer.lowercase"] == lowercase
    assert any("older versions" in note for note in found.notes) != lowercase
    own = tokenizer.get_vocab()
    continued = next(token for token in own if token.startswith("##"))
    whole = next(token for token in own if token.isalpha())
    assert facts["tokenizer.ggml.tokens"][own[continued]] == continued[2:]
    assert facts["tokenizer.ggml.tokens"][own[whole]] == "▁" + whole
    assert facts["tokenizer.ggml.tokens"][0] == "[PAD]"
    assert (facts["tokenizer.ggml.bos_token_id"], facts["tokenizer.ggml.seperator_token_id"]) == (2, 3)


def test_how_rows_were_filled_up_is_no_part_of_it(tmp_path):
    tokenizer = wordpiece()
    tokenizer.enable_padding(length=32, pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(32)
    assert words(tokenizer, tmp_path).facts["tokenizer.ggml.bos_token_id"] == 2


def spaced() -> Tokenizer:
    tokenizer = bytewise()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


def lowered() -> Tokenizer:
    tokenizer = bytewise()
    tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def unsplit() -> Tokenizer:
    tokenizer = bytewise()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizer


def lettered() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def whole() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def bare() -> Tokenizer:
    tokenizer = wordpiece()
    return Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str()) | {"post_processor": None}))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (spaced, "no space before a text"),
        (lowered, "changes no text before byte-level BPE"),
        (unsplit, r"no name for how this tokenizer splits words \(not\)"),
        (lettered, "BPE of bytes"),
        (whole, "no tokenizer of the kind WordLevel"),
        (bare, "a token before and one after"),
    ],
)
def test_a_tokenizer_that_llama_cpp_lacks_is_refused(make, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        words(make(), tmp_path)


def test_letters_composed_before_are_told_of(tmp_path):
    tokenizer = bytewise("qwen2")
    tokenizer.normalizer = normalizers.NFC()
    assert "NFC" in words(tokenizer, tmp_path).notes[0]


def test_an_embedding_smaller_than_the_tokenizer_is_refused(tmp_path):
    with pytest.raises(UsageError, match="only 20 rows"):
        words(tiny.wordpiece(), tmp_path, rows=20)
