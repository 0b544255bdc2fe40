"""Names of people, organisations and places: a linear tagger over hashed windows of words, by numpy alone.

Each word is told by the words and shapes around it, hashed into one table of small integers; what the table's rows
add up to is the word's score for each tag. `benchmarks/name_tagger.py` makes the table: it has learnt from the tags
that a larger tagger gives to plain text, and from sentences made with names whose places are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.personal.span import Span, Type

__all__ = ["BITS", "FEATURES", "TAGS", "Tagger", "Words", "names", "rows_of"]

TAGS = ("", Type.PERSON, Type.ORGANIZATION, Type.LOCATION, Type.ADDRESS)
"""By their number in the table; 0: nothing. Streets are told apart so that they are not taken for people."""
BITS = 17
"""The table has two to this many rows."""
TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+|[^\w ]|_")
AROUND = 2
"""Words on each side that count."""
PARTS = 9
"""Numbers that stand for a word: itself, its shape, beginnings of 1 to 3 letters, ends of 1 to 4."""
SINGLE = (
    (-2, 0),
    (-2, 1),
    (-1, 0),
    (-1, 1),
    (-1, 8),
    *((0, part) for part in range(PARTS)),
    (1, 0),
    (1, 1),
    (1, 8),
    (2, 0),
    (2, 1),
)
"""Places and parts that count each by itself."""
PAIRED = (
    ((-1, 0), (0, 0)),
    ((0, 0), (1, 0)),
    ((-1, 1), (0, 1)),
    ((0, 1), (1, 1)),
    ((-1, 0), (0, 1)),
    ((0, 1), (1, 0)),
    ((-2, 0), (-1, 0)),
    ((1, 0), (2, 0)),
    ((-1, 0), (1, 0)),
    ((-1, 1), (1, 1)),
    ((-2, 1), (-1, 1)),
    ((1, 1), (2, 1)),
)
"""Two that count together."""
FEATURES = len(SINGLE) + len(PAIRED)
_COLUMNS = np.array([(place + AROUND) * PARTS + part for place, part in SINGLE])
_ONE = np.array([(one[0] + AROUND) * PARTS + one[1] for one, _ in PAIRED])
_OTHER = np.array([(other[0] + AROUND) * PARTS + other[1] for _, other in PAIRED])
_SALT = (np.arange(1, FEATURES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)).astype(np.uint32)
_ODD, _EVEN = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_KEPT = 50_000
"""Words whose parts are remembered."""
CODE_BEFORE, CODE_BEHIND = frozenset("._<$/\\"), frozenset("(_=[{@\\")
"""Signs that touch words of programs and paths."""
SMALL = 0.8
"""How sure a name in small letters must be where other words have capitals."""
NO_CAPITALS = 0.9
"""How sure it must be in a text without any: any word may be one there, and few are."""
_COMMON = """
aber alle als auch auf aus bei bin bis bitte da danke dann das dass dein dem den der des die dir doch du durch ein
eine einen einer er es etwas für gibt habe haben hallo hat hatte ich ihr im immer in ist ja jetzt kann kein keine
kennwort kennzeichen können mal mehr mein meine meinen mich mir mit möchte muss nach nicht noch nur oder ohne schon
sehr seit sich sie sind so über um und uns unser vom von vor war warum was weil wenn wer wie wieder will wir wird wo
wurde zu zum zur avec bonjour ce cela cette dans de elle en est et être fait il je la le les leur ma mais mes moi
mon ne nous on ou où par pas plus pour pourquoi qu que qui sa sans se ses son sur ta toi ton un une vous al algo
como con cuando del desde donde el ella ellos eso esta está este favor gracias hay hola las lo los más me mi muy
nada necesito no nos otra para pero por porque puede puedo quiero sin su sus también tengo todo tu una ya che ciao
come cosa di dove è grazie io ho mia mio molto non per perché più sei si sono sua suo tutto bij dat deze een geen
goed graag hebben hebt het hoe ik is kan maar met mijn naar niet nog of om ook te uit van voor waar wat wij zijn zo
"""
COMMON = frozenset(_COMMON.split())
"""Words of German, French, Spanish, Italian and Dutch that the table took for names, or might."""
SURE, LIKELY = 0.6, 0.005
"""How sure a person must be in one place, and how likely in another, for the same word to be one there as well."""


@final
@dataclass(frozen=True, slots=True)
class Words:
    """The words and signs of a text, and where they are."""

    texts: Sequence[str]
    starts: Sequence[int]

    @classmethod
    def of(cls, text: str) -> Words:
        """Line ends are signs too: in an address or under a letter they are what separates."""
        found = list(TOKEN.finditer(text))
        return cls([each.group() for each in found], [each.start() for each in found])


def shape(word: str) -> str:
    """What kinds of letters a word has, in their order, each once."""
    if word.isdigit():
        return f"d{min(len(word), 6)}"
    if not word[0].isalpha():
        return word
    kinds = "".join(
        "X" if letter.isupper() else "x" if letter.islower() else "o" if letter.isalpha() else letter for letter in word
    )
    short = re.sub(r"(.)\1+", r"\1+", kinds)
    return f"{short}{len(word)}" if len(word) < 3 else short


def _parts(word: str) -> bytes:
    """The numbers that stand for a word, as bytes of nine 32-bit integers."""
    low = "0" * min(len(word), 6) if word.isdigit() else word.lower()
    texts = (
        f"w{low}",
        f"s{shape(word)}",
        f"b{low[:1]}",
        f"b{low[:2]}",
        f"b{low[:3]}",
        f"e{low[-1:]}",
        f"e{low[-2:]}",
        f"e{low[-4:]}",
        f"e{low[-3:]}",
    )
    return np.array([crc32(text.encode("utf-8", "surrogatepass")) for text in texts], "<u4").tobytes()


def rows_of(words: Sequence[str], places: Sequence[int], known: dict[str, bytes]) -> NDArray[np.uint32]:
    """The rows of the table that speak for each of some words: `[places, FEATURES]`. `known` remembers words."""
    if len(known) > _KEPT:
        known.clear()
    packed: list[bytes] = []
    for word in words:
        part = known.get(word)
        if part is None:
            part = known[word] = _parts(word)
        packed.append(part)
    edge = b"\x00" * (4 * PARTS * AROUND)
    numbers = np.frombuffer(edge + b"".join(packed) + edge, "<u4").reshape(-1, PARTS)
    index = np.asarray(places)[:, None] + np.arange(2 * AROUND + 1)
    window = numbers[index].reshape(len(places), -1)
    hashed = np.concatenate(
        [window[:, _COLUMNS], (window[:, _ONE] * _ODD) ^ (window[:, _OTHER] * _EVEN)], axis=1, dtype=np.uint32
    )
    mixed = (hashed ^ _SALT) * _ODD
    mixed = (mixed ^ (mixed >> np.uint32(15))) * _EVEN
    return mixed >> np.uint32(32 - BITS)


@final
class Tagger:
    """The table, and the words that it has seen."""

    def __init__(self, table: NDArray[np.int8], scale: float, plain: frozenset[str]) -> None:
        """`plain` are words in small letters that are never names, and need not be looked at."""
        self._table, self._scale, self._plain = table, scale, plain
        self._known: dict[str, bytes] = {}

    @classmethod
    def read(cls) -> Tagger:
        """The one that is part of the package."""
        with (resources.files("stillhouse.data.personal") / "names.npz").open("rb") as file, np.load(file) as kept:
            plain = bytes(kept["plain"]).decode().split(" ")
            return cls(kept["table"], float(kept["scale"]), COMMON.union(plain))

    def spans(self, text: str) -> list[Span]:
        """Names in a text, each with how sure it is that all of its words belong to it."""
        words = Words.of(text)
        places = [
            place
            for place, word in enumerate(words.texts)
            if word[0].isalpha() and word not in self._plain and not _is_code(text, words.starts[place], word)
        ]
        if not places:
            return []
        chances = self.chances(words.texts, places)
        best = chances.argmax(axis=1)
        tags: dict[int, tuple[int, float]] = {}
        least = NO_CAPITALS if text.islower() else SMALL
        for row, place in enumerate(places):
            chance = float(chances[row, best[row]])
            if best[row] and (chance > least or not words.texts[place].islower()):
                tags[place] = (int(best[row]), chance)
        self._repeat(words.texts, places, chances, tags)
        return list(_joined(text, words, tags))

    def chances(self, words: Sequence[str], places: Sequence[int]) -> NDArray[np.float64]:
        """How likely each tag is at some places, `[places, tags]`."""
        scores = self._table[rows_of(words, places, self._known)].sum(axis=1, dtype=np.int32) * self._scale
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def _repeat(
        self, words: Sequence[str], places: Sequence[int], chances: Any, tags: dict[int, tuple[int, float]]
    ) -> None:
        """A word with a capital that is surely a person in one place may be one in the others with less."""
        people = {words[place] for place, (tag, chance) in tags.items() if tag == 1 and chance > SURE}
        for row, place in enumerate(places) if people else ():
            word = words[place]
            if word in people and word[0].isupper() and LIKELY < chances[row, 1] < SURE:
                tags[place] = (1, SURE)


def _is_code(text: str, start: int, word: str) -> bool:
    """Whether a word is part of a program or a path and not of a sentence, by the signs that touch it."""
    end = start + len(word)
    if text[end : end + 1] in CODE_BEHIND and end < len(text):
        return True
    if start == 0 or text[start - 1] not in CODE_BEFORE:
        return text[end : end + 1] == "." and text[end + 1 : end + 2].isalpha() and len(word) > 1
    return text[start - 1] != "." or (start > 2 and text[start - 3 : start - 1].isalnum())


def _joined(text: str, words: Words, tags: dict[int, tuple[int, float]]) -> Iterator[Span]:
    """Words of one tag beside each other as one span; an initial's period and a space or a hyphen may lie between."""
    places = sorted(tags)
    taken = 0
    while taken < len(places):
        last, tag = taken, tags[places[taken]][0]
        while last + 1 < len(places) and tags[places[last + 1]][0] == tag:
            end = words.starts[places[last]] + len(words.texts[places[last]])
            gap = text[end : words.starts[places[last + 1]]]
            if gap not in (" ", "", "-", "  ", ". ", ".", " & ", " and ") or (
                gap == ". " and len(words.texts[places[last]]) > 3
            ):
                break
            if gap == " and " and tag != 2:
                break
            last += 1
        first, end = words.starts[places[taken]], words.starts[places[last]] + len(words.texts[places[last]])
        sure = sum(tags[place][1] for place in places[taken : last + 1]) / (last + 1 - taken)
        if tag < 4 and end - first > 1:
            yield Span(first, end, Type(TAGS[tag]), sure, "tagger")
        taken = last + 1


def names(text: str) -> list[Span]:
    """Names in a text, by the tagger of the package."""
    return _tagger().spans(text)


@cache
def _tagger() -> Tagger:
    return Tagger.read()
