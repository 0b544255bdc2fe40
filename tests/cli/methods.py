"""A teacher for the tests of `stillhouse generate`: it answers each prompt that comes with Stillhouse by a rule."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.data.items import Item, Kind
from tests.gateway.serving import served
from tests.generation.scripted import Scripted, last_words

THINGS = ["bridges", "violins", "planets", "bakeries", "chess", "tides", "bees", "opera", "sailing", "marble", "clocks"]
PRICES = ("--price-in", "2.5", "--price-out", "10")


def answers(call: dict, before: int) -> object:
    """What the teacher says of the last message."""
    said = last_words(call)
    for beginning, rule in RULES.items():
        if beginning in said:
            made = rule(said, call)
            return made if isinstance(made, str) else json.dumps(made)
    if "forbidden" in said:
        return 400, "This is against our policy."
    return "The answer takes five days." if "five days" in said else f"Answer {zlib.crc32(repr(call).encode()) % 7}."


def invented(said: str, call: dict) -> dict:
    chance = random.Random(zlib.crc32(json.dumps(call, sort_keys=True).encode()))
    return {"prompts": [" ".join(chance.sample(THINGS, 4)).capitalize() for _ in range(5)]}


def harder(said: str, call: dict) -> dict:
    request = said.split("Here is a request:\n\n")[1].split("\n\nChange it")[0]
    return {"prompt": request if "same" in request else f"{request} in exactly four lines, naming two rivers"}


def flipped(said: str, call: dict) -> dict:
    text = said.split(":\n\n", 1)[1].split("\n\nChange as few")[0]
    return {"text": text.replace("good", "bad")}


def seen(said: str, call: dict) -> dict:
    return {"label": "bad" if "bad" in said.split("Text:")[1] else "good"}


def graded(said: str, call: dict) -> dict:
    answer = said.split("An assistant answered:\n\n")[1].split("\n\nSay in one")[0]
    digits = [int(each) for each in answer if each.isdigit()]
    return {"reason": "by its number", "score": 1 + digits[0] if digits else None}


def compared(said: str, call: dict) -> dict:
    first, second = (
        int(said.split(head)[1].split("Answer ")[1][0]) for head in ("The first answer:", "The second answer:")
    )
    return {"reason": "by number", "better": "first" if first > second else "second" if second > first else "equal"}


def untied(said: str, call: dict) -> dict:
    return {"label": said.split("They named these labels:\n\n")[1].split("\n")[0]}


RULES = {
    "were sent to an assistant:": invented,
    "Take the place of this person": invented,
    "Read this text:": invented,
    "Texts are sorted under labels": invented,
    "Here is a request:": harder,
    "This text is sorted under": flipped,
    "Which one label fits best?": seen,
    "An assistant answered:": graded,
    "The first answer:": compared,
    "Several people sorted this text": untied,
}


def chat(text: str, answer: str | None = None) -> Item:
    said = None if answer is None else {"role": "assistant", "content": answer}
    return Item(Kind.CHAT, ({"role": "user", "content": text},), said)


@contextmanager
def teacher(home: Path) -> Iterator[tuple[Scripted, tuple[str, ...]]]:
    """The teacher, and the options that name it."""
    scripted = Scripted(answers)
    with served(scripted.app()) as url:
        yield scripted, ("--teacher", url, "--model", "m")
