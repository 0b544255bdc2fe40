"""A `tokenizer.json` as GGUF holds tokenizers: its tokens and their kinds, merges or scores, and what begins and ends.

llama.cpp has no tokenizers of its own design but four families that it knows by name: byte-level BPE (`gpt2`, with a
name for how words are split), SentencePiece's BPE (`llama`), its unigram model (`t5`) and WordPiece (`bert`). What
does not fit one of them exactly is refused, or told in a note where only rare texts are read otherwise.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from tokenizers import Tokenizer

from stillhouse.errors import UsageError

__all__ = ["Words", "read_words"]

Facts = dict[str, Any]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""What kinds of tokens there are, by GGUF's numbers."""

_SPACE = "▁"
_ENDINGS = r"'s|'t|'re|'ve|'m|'ll|'d"
_GPT2 = _ENDINGS + r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"(?i:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}" + _REST
_QWEN2 = rf"(?i:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}" + _REST
_SPLITS = {
    ((_GPT2,), False): "gpt-2",
    ((r"\p{N}", _GPT2), False): "smollm",
    ((_LLAMA3,), True): "llama-bpe",
    ((_LLAMA3,), False): "dbrx",
    ((_QWEN2,), False): "qwen2",
}
"""llama.cpp's name for a way to split words, by its patterns and whether whole words are looked up before merging."""


@final
@dataclass(frozen=True)
class Words:
    """A tokenizer in GGUF's words: metadata by its full key."""

    facts: Facts
    notes: tuple[str, ...] = ()


@final
@dataclass
class _Draft:
    """What is gathered about one tokenizer."""

    told: Mapping[str, Any]
    tokens: list[str]
    kinds: list[int]
    facts: Facts = field(default_factory=dict[str, Any])
    notes: list[str] = field(default_factory=list[str])

    @property
    def model(self) -> Mapping[str, Any]:
        return self.told["model"]

    def id_of(self, token: str) -> int:
        """The id of a token that must be there."""
        if token not in self.tokens:
            raise UsageError(f"The tokenizer has no token {token!r}, which it needs.")
        return self.tokens.index(token)


def read_words(file: Path, rows: int, roles: Mapping[str, int]) -> Words:
    """The tokenizer of a model whose embedding has `rows` rows; raises UsageError for one that llama.cpp lacks.

    `roles` are ids that the model's configuration knows: `bos`, `eos`, `eot`, `pad`, `unk`, `sep`, `mask`.
    """
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()  # some files say how rows were filled up in training
    tokenizer.no_truncation()
    draft = _draft(json.loads(tokenizer.to_str()), tokenizer, rows)
    writers = {"BPE": _bpe, "WordPiece": _wordpiece, "Unigram": _unigram}
    kind = draft.model.get("type", "BPE")
    if kind not in writers:
        raise UsageError(f"llama.cpp has no tokenizer of the kind {kind}; it has {', '.join(writers)}.")
    begin, end = _around(tokenizer)
    writers[kind](draft, begin, end)
    ids = dict(roles) | ({"bos": begin} if begin is not None else {})
    if end is not None:
        ids["sep" if kind == "WordPiece" else "eos"] = end
    if len(set(draft.tokens)) != len(draft.tokens):
        raise UsageError("Two tokens of the tokenizer have the same text in GGUF, which llama.cpp cannot tell apart.")
    named = {"unk": "unknown", "sep": "seperator", "pad": "padding"}  # seperator: GGUF spells it so
    known = {f"tokenizer.ggml.{named.get(role, role)}_token_id": id for role, id in sorted(ids.items())}
    facts = draft.facts | {"tokenizer.ggml.tokens": draft.tokens, "tokenizer.ggml.token_type": draft.kinds} | known
    return Words(facts, tuple(draft.notes))


def _draft(told: Mapping[str, Any], tokenizer: Tokenizer, rows: int) -> _Draft:
    """Every id's token and kind; ids that the embedding has and the tokenizer lacks are unused."""
    by_id = {id: token for token, id in tokenizer.get_vocab(with_added_tokens=True).items()}
    if by_id and max(by_id) >= rows:
        raise UsageError(f"The tokenizer has the id {max(by_id)}, and the model's embedding only {rows} rows.")
    tokens = [by_id.get(id, f"[PAD{id}]") for id in range(rows)]
    kinds = [NORMAL if id in by_id else UNUSED for id in range(rows)]
    for added in told.get("added_tokens", ()):
        kinds[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    return _Draft(told, tokens, kinds)


def _around(tokenizer: Tokenizer) -> tuple[int | None, int | None]:
    """The ids that the tokenizer puts before and after a text."""
    text = next((text for text in ("a", "0", " a b") if tokenizer.encode(text, add_special_tokens=False).ids), None)
    if text is None:
        raise UsageError("The tokenizer reads nothing in plain letters and digits.")
    bare, whole = (tokenizer.encode(text, add_special_tokens=special).ids for special in (False, True))
    at = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), None)
    if at is None or at > 1 or len(whole) - at - len(bare) > 1:
        raise UsageError("The tokenizer puts more than one token before or after a text, which GGUF cannot say.")
    return whole[0] if at else None, whole[-1] if len(whole) > at + len(bare) else None


def _parts(step: Mapping[str, Any] | None, inside: str) -> list[Mapping[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, one after the other."""
    if not step:
        return []
    return [part for each in step[inside] for part in _parts(each, inside)] if step["type"] == "Sequence" else [step]


def _bpe(draft: _Draft, begin: int | None, end: int | None) -> None:
    model = draft.model
    odd = [name for name in ("continuing_subword_prefix", "end_of_word_suffix") if model.get(name)]
    if odd:
        raise UsageError(f"llama.cpp's BPE tokenizers know no {odd[0]}, and this one has {model[odd[0]]!r}.")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    steps = _parts(draft.told.get("pre_tokenizer"), "pretokenizers")
    if any(step["type"] == "ByteLevel" for step in steps):
        _byte_level(draft, steps, merges)
    elif model.get("byte_fallback"):
        _sentencepiece(draft, steps, merges)
    else:
        raise UsageError("llama.cpp reads BPE of bytes (ByteLevel, or SentencePiece's byte_fallback), not of letters.")
    draft.facts |= {"tokenizer.ggml.add_bos_token": begin is not None, "tokenizer.ggml.add_eos_token": end is not None}


def _byte_level(draft: _Draft, steps: Sequence[Mapping[str, Any]], merges: list[str]) -> None:
    normal = [part["type"] for part in _parts(draft.told.get("normalizer"), "normalizers")]
    if set(normal) - {"NFC"}:
        raise UsageError(f"llama.cpp changes no text before byte-level BPE, and this tokenizer does: {normal}.")
    if normal:
        draft.notes.append("llama.cpp does not compose letters and accents (NFC) as the tokenizer does: do so before.")
    if any(step.get("add_prefix_space") for step in steps):
        raise UsageError("llama.cpp's byte-level BPE puts no space before a text, and this tokenizer does.")
    patterns = tuple(pattern for step in steps for pattern in _patterns(step))
    name = _SPLITS.get((patterns, bool(draft.model.get("ignore_merges"))))
    if name is None:
        raise UsageError(
            f"llama.cpp has no name for how this tokenizer splits words ({', '.join(map(repr, patterns)) or 'not'}). "
            f"Known here: {', '.join(_SPLITS.values())}. Export to onnx or safetensors."
        )
    draft.facts |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": name, "tokenizer.ggml.merges": merges}


def _patterns(step: Mapping[str, Any]) -> tuple[str, ...]:
    """What a step splits words by, as regular expressions."""
    if step["type"] == "ByteLevel":
        return (_GPT2,) if step.get("use_regex", True) else ()
    if step["type"] == "Digits" and step["individual_digits"]:
        return (r"\p{N}",)
    if step["type"] == "Split" and step["behavior"] == "Isolated" and not step.get("invert"):
        return (step["pattern"].get("Regex", repr(step["pattern"])),)
    return (f"{step['type']}",)


def _sentencepiece(draft: _Draft, steps: Sequence[Mapping[str, Any]], merges: list[str]) -> None:
    """SentencePiece's BPE: a token's score is how early its merge comes; bytes stand for what no token does."""
    normal = _parts(draft.told.get("normalizer"), "normalizers")
    spaces = any(step["type"] == "Metaspace" for step in steps) or any(part["type"] == "Replace" for part in normal)
    others = {part["type"] for part in normal} - {"Prepend", "Replace"} | {step["type"] for step in steps} - {
        "Metaspace"
    }
    if others or not spaces:
        raise UsageError(f"llama.cpp has no SentencePiece tokenizer that also does {sorted(others) or 'keep spaces'}.")
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        ranks.setdefault("".join(pair.split(" ", 1)), rank)
    for id, token in enumerate(draft.tokens):
        if token.startswith("<0x") and len(token) == 6 and draft.kinds[id] == NORMAL:
            draft.kinds[id] = BYTE
    if draft.kinds.count(BYTE) != 256:
        raise UsageError(f"The tokenizer falls back on bytes and has {draft.kinds.count(BYTE)} of 256 byte tokens.")
    schemes = [step["prepend_scheme"] for step in steps if step["type"] == "Metaspace"]
    if set(schemes) - {"never"}:
        draft.notes.append(
            "llama.cpp reads one space more than the tokenizer where a text begins with a space"
            + (", and after special tokens inside a text." if "first" in schemes else ".")
        )
    prefix = any(part["type"] == "Prepend" for part in normal) or any(scheme != "never" for scheme in schemes)
    _name_unknown(draft, draft.model.get("unk_token"))
    draft.facts |= {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": [-float(ranks.get(token, len(merges))) for token in draft.tokens],
        "tokenizer.ggml.add_space_prefix": prefix,
    }


def _unigram(draft: _Draft, begin: int | None, end: int | None) -> None:
    model = draft.model
    normal = _parts(draft.told.get("normalizer"), "normalizers")
    steps = _parts(draft.told.get("pre_tokenizer"), "pretokenizers")
    allowed = {"Precompiled", "Strip", "Replace", "Metaspace", "WhitespaceSplit"}
    others = {part["type"] for part in (*normal, *steps)} - allowed
    if others or model.get("byte_fallback") or not any(step["type"] == "Metaspace" for step in steps):
        what = sorted(others) or ["byte_fallback" if model.get("byte_fallback") else "no Metaspace"]
        raise UsageError(f"llama.cpp has no unigram tokenizer with {', '.join(what)}. Export to onnx or safetensors.")
    scheme = next(step["prepend_scheme"] for step in steps if step["type"] == "Metaspace")
    together = any(step["type"] == "WhitespaceSplit" for step in steps) or any(p["type"] == "Replace" for p in normal)
    if together and scheme == "never":
        raise UsageError("llama.cpp puts a space before a text where it joins several, and this tokenizer does not.")
    scores = {token: float(score) for token, score in model["vocab"]}
    if model.get("unk_id") is not None:
        _name_unknown(draft, model["vocab"][model["unk_id"]][0])
    draft.facts |= {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": [scores.get(token, 0.0) for token in draft.tokens],
        "tokenizer.ggml.add_space_prefix": scheme != "never",
        "tokenizer.ggml.remove_extra_whitespaces": together,
        "tokenizer.ggml.add_bos_token": begin is not None,
        "tokenizer.ggml.add_eos_token": end is not None,
    }
    charsmap = next((part["precompiled_charsmap"] for part in normal if part["type"] == "Precompiled"), None)
    if charsmap:
        draft.facts["tokenizer.ggml.precompiled_charsmap"] = base64.b64decode(charsmap)
    elif any(step["type"] == "WhitespaceSplit" for step in steps):
        draft.notes.append("Tabs and line breaks are spaces for the tokenizer, and unknown to llama.cpp: replace them.")


def _wordpiece(draft: _Draft, begin: int | None, end: int | None) -> None:
    normal = _parts(draft.told.get("normalizer"), "normalizers")
    steps = [step["type"] for step in _parts(draft.told.get("pre_tokenizer"), "pretokenizers")]
    prefix = draft.model.get("continuing_subword_prefix", "##")
    if [part["type"] for part in normal] != ["BertNormalizer"] or steps != ["BertPreTokenizer"] or prefix != "##":
        raise UsageError("llama.cpp reads WordPiece as BERT does (BertNormalizer, BertPreTokenizer, ##), and no other.")
    if begin is None or end is None:
        raise UsageError("llama.cpp's WordPiece puts a token before and one after each text, and this tokenizer not.")
    bert = normal[0]
    if not (bert["clean_text"] and bert["handle_chinese_chars"]):
        raise UsageError(
            "llama.cpp's WordPiece cleans text and splits Chinese characters, and this tokenizer does not."
        )
    strips = bert["lowercase"] if bert["strip_accents"] is None else bert["strip_accents"]
    if strips:
        draft.notes.append("llama.cpp takes Korean apart otherwise, and drops vowel signs and keycaps with accents.")
    if (bert["lowercase"], strips) != (True, True):
        draft.notes.append("The tokenizer keeps case or accents, which older versions of llama.cpp do not.")
    draft.facts |= {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.normalizer.lowercase": bool(bert["lowercase"]),
        "tokenizer.ggml.normalizer.strip_accents": bool(strips),
        "tokenizer.ggml.unknown_token_id": draft.id_of(draft.model["unk_token"]),
    }
    for id, token in enumerate(draft.tokens):
        if draft.kinds[id] == NORMAL:
            draft.tokens[id] = token[2:] if token.startswith("##") and len(token) > 2 else _SPACE + token


def _name_unknown(draft: _Draft, token: str | None) -> None:
    if token is not None:
        id = draft.id_of(token)
        draft.kinds[id] = UNKNOWN
        draft.facts["tokenizer.ggml.unknown_token_id"] = id
