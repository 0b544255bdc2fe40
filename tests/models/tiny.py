"""Encoders of three small blocks with random weights, and tokenizers of a few words."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

torch.set_num_threads(1)  # models this small are done sooner by one

TOKENS, POSITIONS, BLOCKS = 60, 40, 3
SIZES = {
    "vocab_size": TOKENS,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_hidden_layers": BLOCKS,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,  # as large as trained weights, so that what a block does can be seen
}
DISTILBERT = {"dim": 32, "n_heads": 4, "hidden_dim": 64, "n_layers": BLOCKS}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
ARCHITECTURES = ("bert", "roberta", "distilbert", "mpnet", "modernbert", "deberta")
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("refund", "parcel", "late", "money", "back", "where", "is", "my", "the", "please", "now")


def encoder(architecture: str = "bert", seed: int = 0) -> PreTrainedModel:
    """A random encoder of one architecture, in evaluation mode."""
    torch.manual_seed(seed)
    makers = {
        "bert": lambda: BertModel(BertConfig(**SIZES)),
        "roberta": lambda: RobertaModel(RobertaConfig(**SIZES)),
        "distilbert": lambda: DistilBertModel(
            DistilBertConfig(vocab_size=TOKENS, max_position_embeddings=POSITIONS, initializer_range=0.3, **DISTILBERT)
        ),
        "mpnet": lambda: MPNetModel(MPNetConfig(**SIZES)),
        "modernbert": lambda: ModernBertModel(ModernBertConfig(**SIZES, **SPECIAL, local_attention=8)),
        "deberta": lambda: DebertaV2Model(
            DebertaV2Config(**SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"])
        ),
    }
    return makers[architecture]().eval()


def ids(rows: int, tokens: int, seed: int = 0) -> torch.Tensor:
    """Ids `[rows, tokens]` of no special token."""
    return torch.randint(4, TOKENS, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def states(model: torch.nn.Module, input_ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The last hidden states `[rows, tokens, hidden]`."""
    with torch.no_grad():
        mask = torch.ones_like(input_ids) if mask is None else mask
        return model(input_ids=input_ids, attention_mask=mask).last_hidden_state


def wordpiece() -> Tokenizer:
    """A WordPiece tokenizer of `WORDS` and single letters, at most `TOKENS` in all."""
    letters = "abcdefilmnoprstuwy"
    pieces = [*SPECIALS, *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    assert len(pieces) <= TOKENS
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def save(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> Path:
    """A Transformers folder, as users bring them."""
    model.save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    wrapped.save_pretrained(folder)
    return folder
