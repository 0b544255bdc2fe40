"""Languages: which one rows are written in, told apart offline; and those of other languages left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, final

from stillhouse.data.curation.curated import Change, Curated, again
from stillhouse.data.curation.said import asked
from stillhouse.data.items import Item
from stillhouse.errors import UsageError
from stillhouse.extras import require

__all__ = ["COMMON", "Languages", "Part", "languages", "open_identifier"]

NO_LANGUAGE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+|\S+@\S+|<[^<>\n]{1,80}>", re.DOTALL)
"""What says nothing of the language: code, addresses, markup."""
LETTER = re.compile(r"[^\W\d_]")
# fmt: off
COMMON = (
    "af", "ar", "az", "be", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr",
    "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "kk", "km", "kn", "ko", "ky", "lo",
    "lt", "lv", "mk", "ml", "mn", "mr", "ms", "my", "ne", "nl", "no", "pa", "pl", "pt", "ro", "ru", "si", "sk", "sl",
    "so", "sq", "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "zh",
)
# fmt: on
"""The languages that are told apart where none are named: those of most traffic. py3langid knows 140; the small ones
beside a large one make short texts doubtful."""
READ = 400
"""Characters of a text that are read."""
PRESENT = 0.01
"""Share of the sure rows from which on a language counts as one that the rows are written in."""

THOUGHT_OF = 0.1
"""The probability that a language must have among all before a row in doubt is taken to be in it."""


class Part(StrEnum):
    """What is read."""

    ASKED = "asked"
    ANSWER = "answer"


@final
@dataclass(frozen=True, slots=True)
class Languages:
    """Settings of `languages`."""

    keep: tuple[str, ...] = ()
    """ISO 639-1 codes that stay; none named: all do, and rows are only told which language they are in."""
    among: tuple[str, ...] = ()
    """The languages that are told apart; none named: those of most traffic."""
    of: Part = Part.ASKED
    sure: float = 0.9
    """The probability from which on a language counts as known."""
    letters: int = 12
    """Texts with fewer letters are not judged."""
    drop_unsure: bool = False
    """Whether rows whose language cannot be told go too, where `keep` names some."""
    anew: bool = False
    """Whether rows that carry a language already are read too."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.sure < 1:
            raise UsageError(f"sure = {self.sure} must lie between 0.5 and 1.")
        for code in (*self.keep, *self.among):
            if not re.fullmatch("[a-z]{2,3}", code):
                raise UsageError(f"{code!r} is no code of a language such as en, de, zh.")
        if self.among and not set(self.keep) <= set(self.among):
            raise UsageError(f"keep names {sorted(set(self.keep) - set(self.among))[0]!r}, which `among` leaves out.")


def languages(rows: Iterable[Item], settings: Languages) -> Curated:
    """Write each row's language into its facts, and drop those of languages that are not to be kept.

    py3langid judges (Lui and Baldwin 2012, langid.py: naive Bayes over byte n-grams; 4.5 MB, no network). A row that
    it is not sure of is judged once more, among the languages that at least 1 % of the sure rows are in: short
    questions are mostly in the language of the others. Whoever stays unsure has no language, and stays.
    """
    require("data", "tell languages apart")
    rows = again(rows)
    identifier = open_identifier(settings.among)
    found, doubted, total = _first_look(rows, settings, identifier)
    told = Counter(found.values())
    present = sorted(code for code, count in told.items() if count >= PRESENT * sum(told.values()))
    if doubted and present:
        found |= _second_look(rows, doubted, (present, settings), identifier)
    reasons: dict[int, str] = {}
    changes: dict[int, Change] = {}
    unsure = 0
    for number, item in enumerate(rows):
        known = None if settings.anew else item.facts.language
        code = known or found.get(number)
        unsure += code is None
        if settings.keep and (code not in settings.keep if code else settings.drop_unsure):
            reasons[number] = f"language: {code or 'cannot be told'}"
        if code and code != item.facts.language:
            changes[number] = Change(language=code)
    counts = Counter(found.values()).most_common(12)
    told_counts = {f"in {code}": count for code, count in counts} | {"language not told": unsure}
    return Curated("languages", rows, total, reasons, changes, told_counts)


def open_identifier(among: Sequence[str] = ()) -> Any:
    """The identifier of py3langid, with probabilities, for some languages; none named: those of most traffic."""
    module: Any = import_module("py3langid.langid")
    identifier: Any = module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
    unknown = [code for code in among if code not in identifier.labels]
    if unknown:
        raise UsageError(f"among names {unknown[0]!r}, which cannot be told. Known: {', '.join(identifier.labels)}.")
    identifier.set_languages(list(among or COMMON))
    return identifier


def _text(item: Item, settings: Languages) -> str:
    """The words that show the language; nothing where there are too few."""
    text = asked(item) if settings.of == Part.ASKED else item.words
    text = " ".join(NO_LANGUAGE.sub(" ", text[: 4 * READ]).split())[:READ]
    wide = sum(ord(letter) > 0x2E7F for letter in text)  # one sign of Chinese says more than a letter
    return text if len(LETTER.findall(text)) + 2 * wide >= settings.letters else ""


def _first_look(rows: Iterable[Item], settings: Languages, identifier: Any) -> tuple[dict[int, str], set[int], int]:
    """The language of each row that is surely in one; the rows that may be in several; and how many there are."""
    found: dict[int, str] = {}
    doubted: set[int] = set()
    total = 0
    for number, item in enumerate(rows):
        total = number + 1
        text = "" if item.facts.language and not settings.anew else _text(item, settings)
        if text:
            code, share = identifier.classify(text)
            if share >= settings.sure:
                found[number] = str(code)
            else:
                doubted.add(number)
    return found, doubted, total


def _second_look(
    rows: Iterable[Item], doubted: set[int], how: tuple[list[str], Languages], identifier: Any
) -> dict[int, str]:
    """The languages of rows in doubt, when only some languages are thought of."""
    present, settings = how
    found: dict[int, str] = {}
    for number, item in enumerate(rows):
        if number in doubted:
            shares = {code: float(share) for code, share in identifier.rank(_text(item, settings)) if code in present}
            likeliest = max(present, key=lambda code: (shares.get(code, 0.0), code))
            share = shares.get(likeliest, 0.0)
            if share >= THOUGHT_OF and share >= settings.sure * sum(shares.values()):
                found[number] = likeliest
    return found
