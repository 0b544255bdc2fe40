"""Tokenizers of every kind, trained in a moment, and texts that are hard to cut."""

from __future__ import annotations

import json
from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the quick brown fox jumps over the lazy dog, and the dog sleeps on over the noise of the town",
    "internationalisation of the parcel delivery: where is the parcel? it was delivered yesterday!",
    "def parcel(address):\r\n    return address.lower()  # two  spaces\r\n",
    "你好，世界。你好吗？ 世界 café naïve Überraschung fiancé",
    "👩‍👩‍👧 family, 👍🏽 thumbs, 🇫🇷 flag, 👩‍👩‍👧 again",
] * 4
SPECIALS = ["<s>", "</s>", "<unk>", "<pad>"]
TEXTS = {
    "plain": "the quick brown fox sleeps on the parcel",
    "multi-byte": "你好，世界！ Überraschung in the café, naïve Ωmega",
    "CRLF": "two lines\r\nof parcels\r\n\r\n  and the end\r\n",
    "emoji": "the 👩‍👩‍👧 family 👍🏽 and 👩‍🚀 the 🇫🇷",
    "leading spaces": "   the dog  sleeps   over",
    "only spaces": "  \t \n ",
    "ligature": "ﬁne ①② the ﬂow",
    "combining": "cafe\u0301 and nai\u0308ve, e\u0301",
    "control": "the\x00dog\ufeff sleeps\u200b on",
    "names a special token": "the <s> dog </s>",
    "a letter": "x",
    "empty": "",
}


def byte_level(size: int, prefix: bool = False, trim: bool = False, specials: bool = True) -> Tokenizer:
    """As GPT-2's, Llama 3's or Qwen's: BPE over bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    train(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=SPECIALS if specials else [],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    if trim:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def sentence_piece(size: int) -> Tokenizer:
    """As Llama 2's and Gemma's: BPE over characters with a mark for spaces, and bytes to fall back to."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    train(
        tokenizer,
        trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIALS, limit_alphabet=60, show_progress=False),
    )
    whole = json.loads(tokenizer.to_str())
    whole["model"] |= {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    whole["model"]["vocab"] |= {f"<0x{byte:02X}>": len(whole["model"]["vocab"]) + byte for byte in range(256)}
    return Tokenizer.from_str(json.dumps(whole))


def unigram() -> Tokenizer:
    """As XLM-RoBERTa's: SentencePiece's unigrams over NFKC."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    train(
        tokenizer,
        trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIALS, unk_token="<unk>", show_progress=False),
    )
    return tokenizer


def word_piece() -> Tokenizer:
    """As BERT's: lower case, accents and spaces dropped."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=150, special_tokens=specials, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


def end_of_word() -> Tokenizer:
    """As CLIP's first and GPT's: BPE that marks the end of a word."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    train(
        tokenizer,
        trainers.BpeTrainer(vocab_size=200, special_tokens=SPECIALS, end_of_word_suffix="</w>", show_progress=False),
    )
    return tokenizer


def train(tokenizer: Tokenizer, trainer: trainers.Trainer) -> None:
    tokenizer.train_from_iterator(CORPUS, trainer)


def with_ends(tokenizer: Tokenizer, single: str = "<s> $A </s>") -> Tokenizer:
    """The same with BOS and EOS around each text."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, copy.token_to_id(token)) for token in ("<s>", "</s>")]
    )
    return copy


def normalised(tokenizer: Tokenizer, normalizer: normalizers.Normalizer) -> Tokenizer:
    """The same over changed text."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.normalizer = normalizer
    return copy


@cache
def readers() -> dict[str, Tokenizer]:
    """One of every kind by name."""
    large, small = byte_level(420), byte_level(290)
    pieces = sentence_piece(400)
    return {
        "byte-level": large,
        "byte-level, fewer merges": small,
        "byte-level with ends": with_ends(small),
        "byte-level with an added space": byte_level(350, prefix=True),
        "byte-level, trimmed offsets": byte_level(380, trim=True),
        "byte-level over NFC": normalised(large, normalizers.NFC()),
        "byte-level without CR": normalised(large, normalizers.Replace("\r\n", "\n")),
        "byte-level, stripped": normalised(small, normalizers.Strip()),
        "SentencePiece": pieces,
        "SentencePiece with BOS": with_ends(pieces, "<s> $A"),
        "unigram over NFKC": unigram(),
        "WordPiece": word_piece(),
        "end of word": end_of_word(),
    }
