"""How alike two texts are, by the metrics of the literature: pure functions from two texts to 0..1."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from rapidfuzz import fuzz
from rapidfuzz.distance import LCSseq
from rapidfuzz.utils import default_process
from snowballstemmer import stemmer  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

__all__ = ["METRICS", "bleu", "fuzzy_match", "gleu", "meteor", "rouge_l", "rouge_n", "tokens"]

LONGEST = 4
"""The n-grams of BLEU and GLEU have 1 to 4 words."""
ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
SYMBOLS = re.compile(r"([!-&(-+/:-@\[-`{-~])")
STOP_AFTER_WORD, STOP_BEFORE_WORD = re.compile(r"([^0-9])([.,])"), re.compile(r"([.,])([^0-9])")
DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
WORD = re.compile(r"[^\W_]+")
ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
"""METEOR's weights: recall against precision, and the shape and size of the penalty."""
CANDIDATES, LOOK_AHEAD = 64, 16
"""How many equal words METEOR chooses among, and how far it looks to do so."""


def tokens(text: str) -> list[str]:
    """Words and punctuation, cut as BLEU's standard script `mteval-v13a` cuts them."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in ENTITIES:
        text = text.replace(entity, character)
    text = SYMBOLS.sub(r" \1 ", f" {text} ")
    text = STOP_BEFORE_WORD.sub(r" \1 \2", STOP_AFTER_WORD.sub(r"\1 \2 ", text))
    return DASH_AFTER_DIGIT.sub(r"\1 \2 ", text).split()


def fuzzy_match(text: str, reference: str) -> float:
    """RapidFuzz's weighted ratio of the two texts in lower case without punctuation, by edit distance."""
    return fuzz.WRatio(text, reference, processor=default_process) / 100.0


def bleu(text: str, reference: str) -> float:
    """Sentence BLEU: exp(min(0, 1 - r / c)) times the geometric mean of the precisions of 1- to 4-grams.

    c and r are the lengths in tokens; only orders that the text is long enough for count, and the k-th precision
    of zero is taken for 1 / (2^k n-grams). Sources: K. Papineni et al., "BLEU: a method for automatic evaluation of
    machine translation" (2002); the smoothing is method 3 of B. Chen and C. Cherry, "A systematic comparison of
    smoothing techniques for sentence-level BLEU" (2014).
    """
    found, wanted = tokens(text), tokens(reference)
    logs: list[float] = []
    zeros = 0
    for size in range(1, min(LONGEST, len(found)) + 1):
        grams = _grams(found, size)
        total, matched = grams.total(), (grams & _grams(wanted, size)).total()
        zeros += not matched
        logs.append(math.log(matched / total if matched else 1.0 / (2.0**zeros * total)))
    if not logs or zeros == len(logs):
        return 0.0
    brevity = min(0.0, 1.0 - len(wanted) / len(found))
    return min(1.0, math.exp(brevity + sum(logs) / len(logs)))


def gleu(text: str, reference: str) -> float:
    """Google's BLEU: the n-grams of 1 to 4 words that both have, by the number that the longer of them has.

    That is the smaller of precision and recall. Source: Y. Wu et al., "Google's neural machine translation system"
    (2016), section 6.
    """
    found, wanted = _all_grams(tokens(text)), _all_grams(tokens(reference))
    return _share((found & wanted).total(), max(found.total(), wanted.total()))


def rouge_n(size: int, text: str, reference: str) -> float:
    """ROUGE-N: F1 of the n-grams that both have, words in lower case, no stemming.

    Words are runs of letters and digits of any script. Source: C.-Y. Lin, "ROUGE: a package for automatic evaluation
    of summaries" (2004).
    """
    found, wanted = _grams(_words(text), size), _grams(_words(reference), size)
    return _f1((found & wanted).total(), found.total(), wanted.total())


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L: F1 of the longest common subsequence of words, words as in `rouge_n`; the text is one sentence."""
    found, wanted = _words(text), _words(reference)
    return _f1(LCSseq.similarity(found, wanted), len(found), len(wanted))


def meteor(text: str, reference: str) -> float:
    """METEOR: F-mean of matched words, times 1 - 0.5 (chunks / matches)^3; chunks are runs matched in order.

    F-mean = P R / (0.9 P + 0.1 R). Words match when they are equal in lower case, else when Porter's stems are;
    synonyms, which need WordNet, are left out. Source: A. Lavie and A. Agarwal, "METEOR: an automatic metric for MT
    evaluation with high levels of correlation with human judgments" (2007).
    """
    found, wanted = tokens(text.lower()), tokens(reference.lower())
    pairs = _align(found, wanted, {})
    pairs = _align(_stems(found), _stems(wanted), pairs)
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(found), len(pairs) / len(wanted)
    mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall)
    chunks = sum(pairs.get(index - 1) != place - 1 for index, place in pairs.items())
    return mean * (1.0 - GAMMA * (chunks / len(pairs)) ** BETA)


def _align(found: Sequence[str], wanted: Sequence[str], pairs: Mapping[int, int]) -> dict[int, int]:
    """Every word of `found` with an equal one of `wanted` that is still free, by position, given earlier `pairs`.

    From left to right a word goes on where the one before it is, else to where most words after it match too.
    """
    aligned, taken = dict(pairs), set(pairs.values())
    free: dict[str, list[int]] = {}
    for place, word in enumerate(wanted):
        if place not in taken:
            free.setdefault(word, []).append(place)
    for index, word in enumerate(found):
        places = free.get(word)
        if index in aligned or not places:
            continue
        follows = aligned.get(index - 1, -2) + 1
        place = follows if follows in places else max(places[:CANDIDATES], key=partial(_run, found, wanted, index))
        places.remove(place)
        aligned[index] = place
    return aligned


def _run(found: Sequence[str], wanted: Sequence[str], index: int, place: int) -> int:
    """How many words match from two positions on, at most so many."""
    length = 0
    while length < LOOK_AHEAD and found[index : index + 1] == wanted[place : place + 1] != []:
        index, place, length = index + 1, place + 1, length + 1
    return length


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[start : start + size]) for start in range(len(words) - size + 1))


def _all_grams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    return sum((_grams(words, size) for size in range(1, LONGEST + 1)), Counter[tuple[str, ...]]())


def _stems(words: Sequence[str]) -> list[str]:
    porter = cast(Any, stemmer)("porter")
    known = {word: porter.stemWord(word) for word in set(words)}
    return [known[word] for word in words]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _f1(matched: int, found: int, wanted: int) -> float:
    return _share(2 * matched, found + wanted)


METRICS: Mapping[str, Callable[[str, str], float]] = MappingProxyType(
    {
        "fuzzy_match": fuzzy_match,
        "bleu": bleu,
        "gleu": gleu,
        "meteor": meteor,
        **{f"rouge_{size}": partial(rouge_n, size) for size in (1, 2, 3, 4, 5)},
        "rouge_l": rouge_l,
    }
)
"""Every metric that needs nothing but the two texts, by the name that graders use."""
