"""Keys, tokens and passwords: by the beginnings that their issuers gave them, by the words before, and by entropy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from stillhouse.data.personal.span import Span, Type

__all__ = ["credentials", "entropy"]


def _each(words: str) -> list[str]:
    return words.split()


LONGEST_WORD = 15
"""A text without a longer word has no key in it, but perhaps a password."""
LONG = re.compile(r"[A-Za-z0-9_\-+/=.~]{16,}")
KNOWN = re.compile(
    r"""(?<![A-Za-z0-9])(?:
    (?P<stillhouse>sk-sh-[A-Za-z0-9_-]{20,})
    |(?P<anthropic>sk-ant-[A-Za-z0-9_-]{20,})
    |(?P<openai>sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,})
    |(?P<aws_access_key>(?:AKIA|ASIA|AGPA|AROA)[A-Z0-9]{16}(?![A-Za-z0-9]))
    |(?P<github>gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})
    |(?P<gitlab>glpat-[A-Za-z0-9_-]{20,})
    |(?P<slack>xox[abeoprs]-[A-Za-z0-9-]{10,})
    |(?P<google>AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,})
    |(?P<stripe>(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})
    |(?P<hugging_face>hf_[A-Za-z0-9]{30,})
    |(?P<pypi>pypi-[A-Za-z0-9_-]{50,})
    |(?P<npm>npm_[A-Za-z0-9]{36})
    |(?P<sendgrid>SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})
    |(?P<digitalocean>do[opr]_v1_[a-f0-9]{64})
    |(?P<shopify>shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})
    |(?P<other>(?:gsk|xai|r8|dckr_pat|lin_api|nvapi|pplx|tvly|fw|sbp|phc|phx)[_-][A-Za-z0-9_-]{24,})
    |(?P<twilio>(?:AC|SK)[a-f0-9]{32}(?![A-Za-z0-9]))
    |(?P<age>AGE-SECRET-KEY-1[A-Z0-9]{50,})
    |(?P<jwt>eyJ[A-Za-z0-9_-]{10,4000}+\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{8,})
    )""",
    re.VERBOSE,
)
BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
ASSIGNED = re.compile(
    r"(?:pass(?:word|wd|phrase|code)|\bpwd|secret|token|api[ _-]?key|access[ _-]?key|private[ _-]?key|credential|"
    r"authorization|bearer|kennwort|passwort|contraseña|mot de passe)s?"
    r"(?:['\"`*_]{0,3}\s{0,2}(?::|=>?|:=)\s{0,3}(?:bearer |basic )?|"
    r"(?: \w{2,8})? (?:is|ist|es|est|was) |\s)['\"`]{0,3}(?P<value>[^\s'\"`<>,;(){}\[\]]{4,200})"
)
HINTS = (
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "authorization",
    "bearer",
    "kennwort",
    "contrase",
    "mot de",
)
OPENING = ("pass", "pwd", "kennwort", "contraseña", "mot de passe")
"""How words begin behind which, with a colon or a sign of equality, any word is taken for a password."""
TALK = frozenset(
    _each(
        "about again also always another been before being below blank blocked both case-sensitive change changed "
        "characters check choose contact create default does each empty encrypted enter entered error every expired "
        "false field follow forgot forgotten from hashed have here hidden incorrect input invalid keep least letters "
        "long lost make minimum missing must need needed never none null object only optional please protected "
        "provide provided redacted required reset same secret secure select send sent should some string strong "
        "text that their there these they this true type undefined unknown update updated used user username "
        "users valid value varchar very weak what when where which will with wrong your"
    )
)
"""What stands behind `password:` where people or programs speak of passwords and give none."""
NEUTRAL = ("sha", "md5", "commit", "digest", "hash", "checksum", "integrity", "etag", "uuid", "guid", "base64,", "href")
UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
BITS, BITS_OF_HEXADECIMAL = 4.2, 3.0
"""Entropy per letter from which a long word looks drawn at random."""


def entropy(word: str) -> float:
    """Shannon's entropy of the letters of a word, in bits each: -Σ p log2 p."""
    counts = [word.count(letter) for letter in set(word)]
    return -sum(count / len(word) * math.log2(count / len(word)) for count in counts)


def credentials(text: str, low: str) -> Iterator[Span]:
    """Secrets in a text; `low` is the text in small letters."""
    is_hinted = any(hint in low for hint in HINTS)
    if is_hinted:
        yield from _assigned(text, low)
    if max(map(len, text.split()), default=0) <= LONGEST_WORD:
        return
    if "-----BEGIN" in text:
        for found in BLOCK.finditer(text):
            yield Span(found.start(), found.end(), Type.SECRET, 1.0, "private_key")
    for long in LONG.finditer(text):
        found = KNOWN.search(text, long.start(), long.end())
        if found:
            sure = 0.95 if entropy(found.group()) > BITS_OF_HEXADECIMAL else 0.0
            if sure:
                yield Span(found.start(), found.end(), Type.SECRET, sure, found.lastgroup or "")
        elif _is_drawn(long.group(), low[max(0, long.start() - 24) : long.start()]):
            yield Span(long.start(), long.end(), Type.SECRET, 0.6, "entropy")


def _assigned(text: str, low: str) -> Iterator[Span]:
    """What stands where a password or a key is given: `password: ...`, `my password is ...`."""
    for found in ASSIGNED.finditer(low):
        start, end = found.span("value")
        value = text[start:end].rstrip(".:")
        before = found.group()[: start - found.start()]
        certain = any(sign in before for sign in ":=")
        is_given = certain and before.startswith(OPENING) and text[end : end + 1] not in ("(", "[", "{")
        if _is_password(value, certain) or (is_given and _is_no_talk(value)):
            yield Span(start, start + len(value), Type.SECRET, 0.85 if certain else 0.7, "password")


def _is_password(value: str, is_certain: bool) -> bool:
    """Whether a word is rather a password than a word: of several kinds of letters, or given as one."""
    if len(value) < 4 or value[0] in "$%{<[*" or set(value) <= set("*x.-_•"):
        return False
    kinds = sum(
        (
            any(map(str.islower, value)),
            any(map(str.isupper, value[1:])),
            any(map(str.isdigit, value)),
            any(not letter.isalnum() for letter in value.strip("-_.")),
        )
    )
    has_digit = any(map(str.isdigit, value))
    if value.isdigit():
        return is_certain and len(value) < 9
    return (kinds >= 2 and has_digit) or kinds >= 3


def _is_no_talk(value: str) -> bool:
    """Whether a word that is given as a password may be one, though it looks like any other word."""
    low = value.lower()
    is_filled = len(value) > 3 and value[0] not in "$%{<[*/" and not set(value) <= set("*x.-_•…")
    return is_filled and low not in TALK and not any(name in low for name in ("password", "passwd", "pwd"))


def _is_drawn(word: str, before: str) -> bool:
    """Whether a long word looks drawn at random and is no path, hash or identifier."""
    if word.count("/") > 2 or word.count(".") > 1 or word.count("-") > 3 or any(kind in before for kind in NEUTRAL):
        return False
    word = word.strip("=-./")
    if len(word) < 32 or UUID.fullmatch(word) or HEXADECIMAL.fullmatch(word):
        hinted = any(hint in before for hint in HINTS)
        if not hinted or len(word) < 20 or UUID.fullmatch(word):
            return False
        return entropy(word) >= (BITS_OF_HEXADECIMAL if HEXADECIMAL.fullmatch(word) else BITS - 0.6)
    mixed = any(map(str.isdigit, word)) and any(map(str.islower, word)) and any(map(str.isupper, word))
    return mixed and entropy(word) >= BITS
