"""Ten thousand calls of a support desk, made up: duplicates, secrets, two languages, broken rows and five subjects.

The same file to the byte on every machine; what was planted is known, row by row.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["LABELS", "SUBJECTS", "Made", "make_calls"]

SUBJECTS = ("ada-1815", "grace-1906", "alan-1912", "edsger-1930", "barbara-1939")
LABELS = ("delivery", "refund", "account", "damage", "invoice", "praise")
MODEL = "large-1"
FIRST = 1_750_000_000
SYSTEM = "Sort the message into one of: " + ", ".join(LABELS) + "."

ENGLISH = {
    "delivery": ("where is my parcel", "the courier never rang at my door", "my order is late by {n} days"),
    "refund": (
        "i want my money back for order {n}",
        "please refund the {thing}",
        "you charged me twice for the {thing}",
    ),
    "account": ("i cannot log in since yesterday", "my password is not accepted", "please close my account"),
    "damage": (
        "the {thing} arrived broken",
        "the box was open and the {thing} is scratched",
        "the {thing} does not switch on",
    ),
    "invoice": (
        "i need an invoice for order {n}",
        "the invoice shows the wrong address",
        "send the bill for the {thing} again",
    ),
    "praise": (
        "the {thing} is wonderful, thank you",
        "your team was very kind to me",
        "fastest delivery i ever had, well done",
    ),
}
GERMAN = {
    "delivery": (
        "wo bleibt mein paket",
        "der bote hat nie bei mir geklingelt",
        "meine bestellung ist seit {n} tagen zu spät",
    ),
    "refund": (
        "ich möchte mein geld für bestellung {n} zurück",
        "bitte erstatten sie mir den kauf {n}",
        "sie haben den betrag {n} doppelt abgebucht",
    ),
    "account": (
        "ich kann mich seit gestern nicht anmelden",
        "mein kennwort wird nicht angenommen",
        "bitte löschen sie mein konto",
    ),
    "damage": (
        "das gerät aus bestellung {n} kam kaputt an",
        "der karton war offen und alles zerkratzt",
        "das gerät lässt sich nicht einschalten",
    ),
    "invoice": (
        "ich brauche eine rechnung für bestellung {n}",
        "auf der rechnung steht die falsche anschrift",
        "schicken sie mir die rechnung {n} noch einmal",
    ),
    "praise": (
        "ich bin sehr zufrieden, vielen dank",
        "ihre leute waren sehr freundlich zu mir",
        "so schnell kam noch nie etwas an, sehr gut",
    ),
}
THINGS = ("kettle", "lamp", "headset", "camera", "blender", "keyboard", "radio", "toaster")
ADDED = {
    "en": (
        "please answer soon",
        "this is the {n}th time i write",
        "i am waiting since monday",
        "my neighbour says the same",
    ),
    "de": (
        "bitte antworten sie bald",
        "ich schreibe schon zum {n}. mal",
        "ich warte seit montag",
        "meine nachbarin sagt dasselbe",
    ),
}
BROKEN = (
    '{"id": "chatcmpl-broken", "choices": [',
    '{"id": "chatcmpl-nan", "created": NaN, "choices": []}',
    '{"messages": [{"role": "user", "content": "half a pair \\ud83d"}]}',
    '["not", "an", "object"]',
    '{"messages": []}',
    '{"messages": [{"role": "robot", "content": "beep"}]}',
    '{"text": "another shape", "label": "refund"}',
    "this is a line of a log file",
)
"""Rows that cannot be read, each for a reason of its own."""


@dataclass
class Made:
    """What a file of made calls holds; rows are numbered by line, from 1."""

    path: Path
    rows: int
    broken: list[int] = field(default_factory=list)
    exact: list[int] = field(default_factory=list)
    """Rows that say what an earlier one says, to the letter."""
    near: list[int] = field(default_factory=list)
    """Rows that say what an earlier one says, but for a word."""
    secrets: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Row → kind and text of what was planted."""
    subjects: Counter[str] = field(default_factory=Counter)
    """How many sound rows are about whom; most are about nobody."""
    languages: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)


def make_calls(path: Path, rows: int = 10_000, seed: int = 6) -> Made:
    """Write a file of stored completions, and say what is in it."""
    maker, made = _Maker(seed), Made(path, rows)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in range(1, rows + 1):
            file.write(maker.line(row, made) + "\n")
    return made


class _Maker:
    """Draws rows; what a draw gives depends on its seed alone."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._said: list[tuple[str, str, str]] = []
        """Text, label and language of rows that may be said again."""

    def line(self, row: int, made: Made) -> str:
        """One line, sound or broken, noted in `made`."""
        fate = self._draw.random()
        if fate < 0.01:
            made.broken.append(row)
            return BROKEN[len(made.broken) % len(BROKEN)]
        if fate < 0.07 and self._said:
            text, label, language = self._one(self._said)
            made.exact.append(row)
        elif fate < 0.11 and self._said:
            text, label, language = self._one(self._said)
            text = self._nearly(text, language)
            made.near.append(row)
        else:
            text, label, language = self._text()
            if fate < 0.16:
                kind, secret = self._secret()
                made.secrets[row] = (kind, secret)
                text = f"{text}. {secret}"
            elif len(text.split()) >= 14:
                self._said.append((text, label, language))
        made.languages[language] += 1
        made.labels[label] += 1
        return json.dumps(self._call(row, text, label, made), ensure_ascii=False)

    def _call(self, row: int, text: str, label: str, made: Made) -> dict:
        metadata = {"app": "desk"}
        about = self._draw.random()
        if about < 0.2:
            subject = self._one(SUBJECTS)
            metadata["subject"] = subject
            made.subjects[subject] += 1
        return {
            "id": f"chatcmpl-{row:08d}",
            "object": "chat.completion",
            "created": FIRST + 60 * row,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": label},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41},
            "metadata": metadata,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
        }

    def _text(self) -> tuple[str, str, str]:
        language = "de" if self._draw.random() < 0.35 else "en"
        label = self._one(LABELS)
        said = [self._one((ENGLISH if language == "en" else GERMAN)[label])]
        said += [self._one(ADDED[language]) for _ in range(1 + int(self._draw.random() * 3))]
        number = 10_000 + int(self._draw.random() * 89_999)
        code = "".join(self._one("bcdfghjklmnpqrstvwxz") + self._one("aeiou") for _ in range(4))
        said.append(f"reference {code}" if language == "en" else f"kennzeichen {code}")
        return ", ".join(said).format(n=number, thing=self._one(THINGS)), label, language

    def _nearly(self, text: str, language: str) -> str:
        """The same but for one more word at its beginning."""
        return f"{'hello' if language == 'en' else 'hallo'}, {text}"

    def _secret(self) -> tuple[str, str]:
        kind = self._one(("card", "iban", "email", "api_key"))
        if kind == "card":
            return kind, self._card()
        if kind == "iban":
            return kind, self._iban()
        if kind == "email":
            return kind, f"{self._word(7)}.{self._word(5)}@{self._word(6)}.example.com"
        return kind, "sk-" + "".join(
            self._one("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(40)
        )

    def _card(self) -> str:
        """A number of 16 digits with a right check digit (Luhn)."""
        digits = [4] + [int(self._draw.random() * 10) for _ in range(14)]
        total = sum(sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
        digits.append(-total % 10)
        text = "".join(map(str, digits))
        return " ".join(text[start : start + 4] for start in range(0, 16, 4))

    def _iban(self) -> str:
        """A German account number with right check digits (ISO 7064, mod 97)."""
        account = "".join(str(int(self._draw.random() * 10)) for _ in range(18))
        check = 98 - int(account + "131400") % 97
        return f"DE{check:02d}{account}"

    def _word(self, length: int) -> str:
        return "".join(self._one("abcdefghijklmnopqrstuvwxyz") for _ in range(length))

    def _one(self, among):  # by `random()` alone, which is the same in every version of Python
        return among[int(self._draw.random() * len(among))]
