"""Tiny students with tokenizers of every kind that llama.cpp reads, as folders that are opened for export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from stillhouse.export.subject import Subject
from stillhouse.export.verify import Samples
from stillhouse.recipes.open_student import open_student

CORPUS = (
    "Where is my parcel? It should have been here on the 24th of May, at 10:30.",
    "I want my money back, please: the refund of 1,299.50 has not come for 14 days!",
    "Wo ist mein Päckchen? Ich möchte mein Geld zurück, bitte sofort.",
    "def add(one, other):\n    return one + other\n",
    "Thank you so much 🙂 that worked — great.",
    "请问我的包裹在哪里？ どこですか",
)
TEXTS = (
    *CORPUS,
    "a",
    " two  spaces   and a tab\tand\n\nlines \n",
    "it's we'll THEY'RE I'd don't",
    "12345 3.14159 1e-9 №5 ½ ² 00:00",
    "😀😃 👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽",
    "naïve café Ångström ñandú — “quotes” … ellipsis",
    "العربية עברית हिन्दी ไทย 한국어 русский",
    "<b>html & entities;</b> https://example.org/?q=1&r=2 user@mail.org #tag",
    "ALLCAPS MixedCase snake_case kebab-case x+y=z {json: [1, 2]}",
    "trailing space ",
)
"""Letters of many scripts, digits, emoji with joiners and skin tones, spaces, code."""
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"\p{N}| ?", r"\p{N}{1,3}| ?")
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
ENDS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}


def bytewise(split: str = "gpt-2") -> Tokenizer:
    """Byte-level BPE whose words are split as a family of models does."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=split == "llama-bpe"))
    pattern = {"qwen2": QWEN2, "llama-bpe": LLAMA3, "dbrx": LLAMA3}.get(split)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    steps = {"smollm": [pre_tokenizers.Digits(individual_digits=True)]}.get(split, [])
    if pattern is not None:
        steps = [pre_tokenizers.Split(Regex(pattern), "isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, level]) if steps else level
    tokenizer.decoder = decoders.ByteLevel()
    if split == "llama-bpe":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


def sentencepiece() -> Tokenizer:
    """BPE of letters that falls back on bytes, as Llama 2 has it."""
    specials = ["<unk>", "<s>", "</s>"]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[*specials, *fallback], show_progress=False)
    tokenizer.train_from_iterator(CORPUS[:2] * 3, trainer)
    told = json.loads(tokenizer.to_str())
    told["model"] |= {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    told["added_tokens"] = told["added_tokens"][:3]
    told["pre_tokenizer"]["split"] = False
    whole = Tokenizer.from_str(json.dumps(told))
    whole.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return whole


def unigram() -> Tokenizer:
    """SentencePiece's unigram model, as XLM-RoBERTa has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def wordpiece(lowercase: bool = True) -> Tokenizer:
    """BERT's WordPiece."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def model(kind: str, rows: int) -> PreTrainedModel:
    """A random model with an embedding of `rows` rows."""
    torch.manual_seed(0)
    many = {"vocab_size": rows}
    long = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    stretched = {**long, "original_max_position_embeddings": 32, "rope_theta": 10_000.0}
    roberta = {**SIZES, **many, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "max_position_embeddings": 130}
    makers = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, **many, **ENDS)),
        "llama-tied": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, **many, **ENDS, tie_word_embeddings=True)),
        "llama-biased": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, **many, **ENDS, attention_bias=True)),
        "llama-3": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, **many, **ENDS, rope_parameters=stretched)),
        "llama-linear": lambda: LlamaForCausalLM(
            LlamaConfig(
                **GROUPED,
                **many,
                **ENDS,
                rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0},
            )
        ),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**GROUPED, **many, **ENDS, head_dim=32, sliding_window=64)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**GROUPED, **many, **ENDS)),
        "qwen3": lambda: Qwen3ForCausalLM(
            Qwen3Config(**GROUPED, **many, **ENDS, head_dim=32, tie_word_embeddings=True)
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(n_embd=64, n_layer=2, n_head=4, n_positions=128, initializer_range=0.2, **many, **ENDS)
        ),
        "gpt2-odd": lambda: GPT2LMHeadModel(
            GPT2Config(n_embd=40, n_layer=1, n_head=4, n_positions=128, initializer_range=0.2, **many, **ENDS)
        ),
        "bert": lambda: BertModel(BertConfig(**SIZES, **many), add_pooling_layer=False),
        "bert-classifier": lambda: BertForSequenceClassification(BertConfig(**SIZES, **many, num_labels=5)),
        "distilbert": lambda: DistilBertModel(
            DistilBertConfig(
                dim=64, n_heads=4, hidden_dim=96, n_layers=2, initializer_range=0.2, max_position_embeddings=128, **many
            )
        ),
        "roberta-classifier": lambda: RobertaForSequenceClassification(RobertaConfig(**roberta, num_labels=3)),
        "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**roberta), add_pooling_layer=False),
    }
    return makers[kind]().eval()


TOKENIZERS = {"llama": sentencepiece, "bert": wordpiece, "distilbert": wordpiece, "xlm-roberta": unigram}
SPLITS = {"qwen2": "qwen2", "qwen3": "qwen2", "llama-3": "llama-bpe", "llama-tied": "smollm", "llama-biased": "dbrx"}
WRITERS = (
    "llama",
    "llama-tied",
    "llama-biased",
    "llama-3",
    "llama-linear",
    "mistral",
    "qwen2",
    "qwen3",
    "gpt2",
    "gpt2-odd",
)
ENCODERS = ("bert", "distilbert", "xlm-roberta", "bert-classifier", "roberta-classifier")


def tokenizer_of(kind: str) -> Tokenizer:
    """The tokenizer that models of a kind have."""
    if kind in ("llama-linear", "mistral"):
        return sentencepiece()
    made = TOKENIZERS.get(kind.removesuffix("-classifier"))
    return made() if made is not None else _with_ends(kind)


def _with_ends(kind: str) -> Tokenizer:
    tokenizer = bytewise(SPLITS.get(kind, "gpt-2"))
    if kind.startswith("roberta"):
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A <|im_end|>", special_tokens=[("<|endoftext|>", 0), ("<|im_end|>", 2)]
        )
    return tokenizer


def student(kind: str, folder: Path, template: str | None = None, rows: int = 0) -> Subject:
    """A student of a kind, saved as users have it and opened; with `rows` its embedding has more than it needs."""
    tokenizer = tokenizer_of(kind)
    made = model(kind, max(rows, tokenizer.get_vocab_size()))
    made.save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    wrapped.chat_template = template
    wrapped.save_pretrained(folder)
    return open_student(folder)


def samples(subject: Subject, texts: tuple[str, ...] = TEXTS) -> Samples:
    """Texts as a student reads them."""
    own = Tokenizer.from_file(str(subject.tokenizer))
    return Samples(tuple(np.array(own.encode(text).ids[:60]) for text in texts), texts)
