"""Flaws of a text: cut off, going round in circles, letters read by the wrong code, marks of templates."""

from __future__ import annotations

import re
import zlib
from collections import Counter

import orjson

__all__ = ["cut_off", "damaged", "is_json", "left_over", "loops"]

LOOPS = 4
"""Times that something must be said at the end of a text, one right after the other, to be a loop."""
LONGEST_PERIOD = 400
KEY = 8
"""Characters at a text's end whose earlier places are tried as the length of a loop."""
READ = 8_192
"""Characters of a text's end that are packed."""
SHORTEST_LOOP = 40
"""Characters that a loop must fill: "ha ha ha ha" is none."""
LONG = 400
"""Texts of this many characters and more are looked at for saying little but the same."""
PACKED = 8.0
"""How many times smaller zlib makes a text that goes round in circles; prose is at 2 to 3."""
SAME_LINES = 0.5
"""The share of a text's lines that are repetitions (Gopher's filter takes 0.3 of web pages; code and tables repeat
more)."""

CONTINUED = bytes(range(0x80, 0xC0)).decode("cp1252", "ignore") + "\x80-\xbf"
"""What the second and later bytes of UTF-8 look like when they are read as Windows-1252 or Latin-1."""
MISREAD = re.compile(
    f"\u00c2[\u00a0-\u00bf]|[\u00c3-\u00c5\u00ce-\u00d1][{CONTINUED}]|[\u00e2-\u00e9][{CONTINUED}]{{2}}|\u00f0[{CONTINUED}]{{3}}"
)
LOST = re.compile("\ufffd|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\ud800-\udfff]")

MARKS = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|system|user|assistant|end|"
    r"endofprompt)\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<pad>|<unk>|</s>|<s>(?=\s*\[INST\])|"
    r"^#{2,4} (?:Instruction|Response|Input|Assistant|Human|User):[ \t]*$|^(?:Human|USER|ASSISTANT): ",
    re.MULTILINE,
)
HINTS = ("<|", "INST]", "SYS>", "_of_turn>", "<pad>", "<unk>", "</s>", "## ", "Human: ", "USER: ", "ASSISTANT: ")
"""One of these is in every mark: texts without any need no closer look."""
BLANKS = re.compile(r"\{\{ ?[A-Za-z_][\w. ]{0,40}\}\}|\$\{[A-Za-z_][\w.]{0,40}\}|<<[A-Z_]{3,40}>>|%\([a-z_]+\)s")
CODE = re.compile(
    r"```|\bdef |\bfunction\b|[;{}]\s*$|#include|</\w+>|\btemplate|jinja|handlebars|mustache",
    re.MULTILINE | re.IGNORECASE,
)


def is_json(text: str) -> bool:
    """Whether a text is one JSON value, perhaps in a block of code."""
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare.partition("\n")[2].removesuffix("```").strip()
    try:
        orjson.loads(bare)
    except orjson.JSONDecodeError:
        return False
    return True


def cut_off(text: str) -> str:
    """Why a text seems to end before its end; nothing where it does not."""
    if "```" not in text:
        return ""
    inside = sum(line.lstrip().startswith("```") for line in text.split("\n")) % 2
    end = text.rstrip()
    return "a block of code is not closed" if inside and not end.endswith((".", "!", "?", "```")) else ""


def loops(text: str) -> str:
    """How a text goes round in circles; nothing where it does not."""
    end = text.rstrip()
    period = _period(end)
    if period:
        return f"ends with {_short(end[-period:])!r} again and again"
    if len(end) < LONG:
        return ""
    most, times = _line(end)
    if times:
        return f"says {_short(most)!r} {times} times"
    raw = end[-READ:].encode("utf-8", "surrogatepass")
    if len(raw) >= PACKED * len(zlib.compress(raw, 6)):
        return "says little but the same"
    return ""


def damaged(text: str) -> str:
    """What of a text was read by the wrong code or lost; nothing where nothing was."""
    if text.isascii() and text.isprintable():
        return ""
    lost = LOST.search(text)
    if lost:
        return "a character that stands for lost ones" if lost[0] == "\ufffd" else f"the character U+{ord(lost[0]):04X}"
    for found in MISREAD.finditer(text):
        meant = _meant(found[0])
        if meant:
            return f"{found[0]!r}, which was {meant!r}"
    return ""


def left_over(text: str, asked: bool) -> str:
    """A mark of a chat template, or in a question without code a blank that was not filled in; else nothing."""
    mark = MARKS.search(text) if any(hint in text for hint in HINTS) else None
    if mark:
        return repr(mark[0].strip())
    blank = BLANKS.search(text) if asked else None
    return f"the blank {blank[0]!r}" if blank and not CODE.search(BLANKS.sub("", text)) else ""


def _meant(seen: str) -> str:
    """The character that bytes were meant to be, when they were read as Windows-1252 or Latin-1."""
    raw = bytearray()
    for letter in seen:
        try:
            raw += letter.encode("cp1252")
        except UnicodeEncodeError:
            raw += letter.encode("latin-1", "replace")
    try:
        meant = raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return meant if meant.isprintable() or meant == "\xa0" else ""


def _line(text: str) -> tuple[str, int]:
    """The line that most of a text's lines repeat, and how often; 0 where there is none."""
    lines = [line for line in text.split("\n") if line]
    if len(set(lines)) > SAME_LINES * len(lines):
        return "", 0
    worded = [line.strip() for line in lines if any(letter.isalpha() for letter in line)]
    most, times = Counter(worded).most_common(1)[0] if worded else ("", 0)
    loop = times >= LOOPS and times > SAME_LINES * len(worded) and len(most) * times >= SHORTEST_LOOP
    return (most, times) if loop else ("", 0)


def _period(text: str) -> int:
    """The length of what a text says again and again at its end; 0 where it does not."""
    if len(text) < SHORTEST_LOOP:
        return 0
    tail = text[-LONGEST_PERIOD - KEY :]
    start = len(tail) - KEY
    at = start
    while (at := tail.rfind(tail[start:], 0, at + KEY - 1)) >= 0:
        period = start - at
        times = max(LOOPS, -(-SHORTEST_LOOP // period))
        unit = text[-period:]
        if text[-times * period :] == unit * times and any(letter.isalnum() for letter in unit):
            return period
    return 0


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 40 else f"{plain[:39]}…"
