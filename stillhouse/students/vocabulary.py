"""Trim a vocabulary to what the traffic uses, plus the pieces any other text falls back to."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from stillhouse.models.layers import token_embedding

__all__ = ["keep_tokens", "trim"]

_MARKS = ("##", "\u2581", "\u0120", "</w>")
"""What tokenizers put around a piece: WordPiece, SentencePiece, byte-level and classic BPE."""
_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""What SentencePiece falls back to for a character it does not know."""
_SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "decoder_start_token_id")
"""How configs of Transformers name the ids of special tokens."""
_LATIN_ENDS = "\u024f"
"""Up to here are Latin letters, and all of the characters that byte-level tokenizers write bytes as."""


def trim(tokenizer: Tokenizer, texts: Iterable[str], least: int = 1) -> tuple[Tokenizer, list[int]]:
    """A tokenizer with fewer tokens, and the old id of each of its tokens in order.

    Kept are the tokens that at least so many of `texts` use, special and added tokens, single characters of the
    scripts that `texts` use (so that any text in them still reads as pieces), signs and digits, and whatever merges
    need to build these. Texts that only use kept tokens read exactly as before; letters of a script that no text
    has become unknown. Unknown kinds of model are left whole. It neither truncates nor pads.
    """
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    spec: dict[str, Any] = json.loads(tokenizer.to_str())
    kind = spec["model"].get("type") or "WordPiece"
    old = tokenizer.get_vocab(with_added_tokens=True)
    if kind not in ("WordPiece", "BPE", "Unigram"):
        return tokenizer, list(range(max(old.values()) + 1))
    seen = Counter(token for text in texts for token in set(tokenizer.encode(text).tokens))
    used = {token for token, times in seen.items() if times >= least}
    used.update(token["content"] for token in spec["added_tokens"])
    used.update(_singles(old, scripts={_script(letter) for token in seen for letter in _bare(token)}))
    used.update(_unknown(spec["model"]))
    if kind == "BPE":
        used |= _needed_by_merges(spec["model"], used)
    kept = sorted((index for token, index in old.items() if token in used))
    new = {index: position for position, index in enumerate(kept)}
    _renumber(spec, kind, used, new)
    return Tokenizer.from_str(json.dumps(spec, ensure_ascii=False)), kept


def keep_tokens(encoder: nn.Module, kept: list[int]) -> None:
    """Cut an encoder's token embedding to the rows `kept`, in place; its config names special tokens by new ids."""
    table = token_embedding(encoder)
    weight = table.weight.detach()[torch.tensor(kept)].clone()
    padding = kept.index(table.padding_idx) if table.padding_idx in kept else None
    smaller = nn.Embedding.from_pretrained(weight, freeze=not table.weight.requires_grad, padding_idx=padding)
    encoder.set_input_embeddings(smaller)  # pyright: ignore[reportCallIssue]
    config: Any = encoder.config
    config.vocab_size = len(kept)
    new = {index: position for position, index in enumerate(kept)}
    for name in _SPECIAL:
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, new.get(getattr(config, name)))


def _bare(token: str) -> str:
    for mark in _MARKS:
        token = token.removeprefix(mark).removesuffix(mark)
    return token


def _singles(tokens: Iterable[str], scripts: set[str]) -> set[str]:
    """The tokens of one character that is no letter, or a letter of one of the scripts; and those of one byte."""
    known = scripts | {""}
    return {
        token
        for token in tokens
        if _BYTE.fullmatch(token) or (len(_bare(token)) <= 1 and _script(_bare(token)) in known)
    }


def _script(letter: str) -> str:
    """Which script a letter is of, as its Unicode name begins; nothing for Latin letters and what is no letter."""
    if letter <= _LATIN_ENDS or not unicodedata.category(letter).startswith("L"):
        return ""
    return unicodedata.name(letter, "").partition(" ")[0]


def _unknown(model: dict[str, Any]) -> set[str]:
    """The token that stands for what cannot be read, if there is one."""
    if model.get("unk_id") is not None:
        return {model["vocab"][model["unk_id"]][0]}
    return {model["unk_token"]} if model.get("unk_token") else set()


def _merged(model: dict[str, Any], merge: str | list[str]) -> tuple[str, str, str]:
    """The two parts of a merge and the token it makes."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right, left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _needed_by_merges(model: dict[str, Any], used: set[str]) -> set[str]:
    """Every token on the way to a used one: the parts it is merged from, in all the ways there are, and theirs."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for merge in model["merges"]:
        left, right, whole = _merged(model, merge)
        parts[whole] |= {left, right}
    needed: set[str] = set()
    waiting = list(used)
    while waiting:
        new = parts[waiting.pop()] - needed
        needed |= new
        waiting.extend(new)
    return needed


def _renumber(spec: dict[str, Any], kind: str, used: set[str], new: dict[int, int]) -> None:
    model = spec["model"]
    if kind == "Unigram":
        model["vocab"] = [entry for index, entry in enumerate(model["vocab"]) if index in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {token: new[index] for token, index in model["vocab"].items() if index in new}
    if kind == "BPE":
        model["merges"] = [merge for merge in model["merges"] if used.issuperset(_merged(model, merge))]
    for token in spec["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber_special(spec.get("post_processor") or {}, new)


def _renumber_special(part: dict[str, Any], new: dict[int, int]) -> None:
    """Special tokens' ids inside post-processors, which may nest."""
    for inner in part.get("processors", ()):
        _renumber_special(inner, new)
    for token in part.get("special_tokens", {}).values() if isinstance(part.get("special_tokens"), dict) else ():
        token["ids"] = [new[index] for index in token["ids"]]
    for end in ("sep", "cls"):
        if isinstance(part.get(end), list):
            part[end] = [part[end][0], new[part[end][1]]]
