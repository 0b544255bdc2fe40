"""What is known by its punctuation: e-mail addresses, credentials in URLs, IPv6 and MAC addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from stillhouse.data.personal.span import Span, Type

__all__ = ["marks"]

DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w-])")
LITERAL = re.compile(r"\[(?:\d{1,3}\.){3}\d{1,3}\]")
LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+-/=?^_`{|}~")
OPENING = "'*`{|/=?#&.^~!$%"
"""What may be in an address, but before one is rather a quote or a piece of markup."""
LONGEST_LOCAL = 64
CREDENTIALS = re.compile(r"://([^\s/@:\"'<>]{0,128}:[^\s/@\"'<>]{1,256})@")
IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f:]*\d)(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
BLANKS = ("user:pass", "user:password", "username:password", "user:***", "x:x")
"""Credentials of examples."""


def marks(text: str) -> Iterator[Span]:
    """Everything in a text that punctuation gives away; does nothing where there is none of it."""
    if "@" in text:
        yield from _emails(text)
        if "://" in text:
            for found in CREDENTIALS.finditer(text):
                if found[1] not in BLANKS and not found[1].endswith((":", "***")):
                    yield Span(found.start(1), found.end(1), Type.URL_CREDENTIALS, 0.98)
    colons = text.count(":")
    if colons > 2:
        yield from _ipv6(text)
    if colons > 4 or text.count("-") > 4:
        for found in MAC.finditer(text):
            if len(set(found.group())) > 2:
                yield Span(found.start(), found.end(), Type.MAC, 0.95)


def _emails(text: str) -> Iterator[Span]:
    at = text.find("@")
    while at >= 0:
        start = at
        while start and at - start < LONGEST_LOCAL and (text[start - 1] in LOCAL or _is_foreign(text[start - 1])):
            start -= 1
        while start < at and text[start] in OPENING:
            start += 1
        found = DOMAIN.match(text, at + 1) or LITERAL.match(text, at + 1)
        if found and start < at and text[at - 1] != ".":
            yield Span(start, found.end(), Type.EMAIL, 0.97)
        at = text.find("@", at + 1)


def _is_foreign(letter: str) -> bool:
    return letter > "\x7f" and letter.isalnum()


def _ipv6(text: str) -> Iterator[Span]:
    for found in IPV6.finditer(text):
        code = found.group()
        try:
            address = ipaddress.IPv6Address(code)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified) and code.count(":") > 2:
            yield Span(found.start(), found.end(), Type.IP, 0.9, "ipv6")
