"""Stand-ins: something of the same kind that belongs to nobody, the same for the same value under one key.

Numbers keep their form and get checksums that hold, within the ranges set aside for examples where there are such:
RFC 2606 for domains, RFC 5737 and 3849 for addresses of machines, 555-01xx for phones, an unassigned issuer for cards.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence

from stillhouse.data.personal.checksums import luhn
from stillhouse.data.personal.span import Span, Type
from stillhouse.data.pii import folded

__all__ = ["stand_in"]


def _each(words: str) -> list[str]:
    return words.split()


NAMES = _each(
    "Adair Alden Amari Arden Ari Arlen Ashby Aubrey Avery Bailey Barrett Bellamy Bennet Blair Blake Blythe "
    "Bowen Brady Brooks Bryn Cameron Campbell Carey Carlin Carroll Carter Casey Channing Clancy Cody Collins "
    "Corey Cory Cullen Dale Dallas Dana Darcy Darby Delaney Devin Drew Dylan Eden Ellery Ellis Emerson Emery "
    "Evelyn Farley Finley Flynn Francis Gale Garnet Gray Greer Hadley Haley Harley Harper Hayden Hollis Ira "
    "Jensen Jocelyn Jordan Jules Kai Keegan Keely Kelly Kelsey Kendall Kerry Kim Lacey Laurel Lee Lennon "
    "Leslie Linden Lindsay Logan London Loren Lyle Lynn Mackenzie Madison Marion Marley Marlow Merle Merritt "
    "Monroe Morgan Murphy Nevin Noel Oakley Parker Payton Perry Peyton Presley Quinn Ramsey Reagan Reed Reese "
    "Regan Remy Rene Riley Robin Rory Rowan Rylan Sage Sawyer Shannon Shea Shelby Sheridan Sidney Skyler "
    "Sloane Stacy Sterling Stevie Sutton Sydney Tanner Tatum Taylor Terry Tierney Toby Tracy Tristan Tyler "
    "Vernon Wallis Wesley Whitney Winslow Wren Wynne Yardley Zane"
)
"""Names that are first names and last names: a word that is only one of the two still has one stand-in."""
PLACES = _each(
    "Ashford Brookfield Clearwater Eastvale Fairmont Greenhill Lakewood Millbrook Northam Oakridge Riverton Westbury"
)
STREETS = ["Birch", "Cedar", "Elm", "Hazel", "Juniper", "Larch", "Linden", "Maple", "Oak", "Rowan", "Spruce", "Willow"]
FIRMS = _each(
    "Amberline Bluepeak Corvane Dunfield Elmhart Fernworth Halcott Ironmere Larkspur Norvane Quillon Redmarsh"
)
SMALL = frozenset(_each("de del da do dos das di la le van der den von zu bin al el ibn and und y e och"))
DIGIT = re.compile(r"\d")
NOT_IBAN = re.compile(r"[^0-9A-Z]")


def stand_in(value: str, span: Span, key: bytes) -> str:
    """What is put in the place of a value of some kind."""
    made = MAKERS.get(span.type, _same_form)(value, _Draw(span.type, value, key))
    return made if made != value else _same_form(value, _Draw("again", value, key))


class _Draw:
    """Choices that a value and a key decide: HMAC-SHA-256, taken a few bytes at a time."""

    def __init__(self, kind: str, value: str, key: bytes) -> None:
        plain = " ".join(value.split()).casefold()
        self._key, self._seed, self._left = key, f"pseudonym|{kind}|{plain}".encode("utf-8", "surrogatepass"), b""
        self._block = 0

    def below(self, count: int) -> int:
        """A number from 0 to less than `count`, near enough uniform: of 32 bits."""
        if len(self._left) < 4:
            self._left = hmac.new(self._key, self._seed + b"|%d" % self._block, hashlib.sha256).digest()
            self._block += 1
        drawn, self._left = int.from_bytes(self._left[:4], "big"), self._left[4:]
        return drawn % count

    def of(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]

    def word(self, word: str) -> _Draw:
        """The draws of a word by itself, the same in whichever name it stands."""
        return _Draw("word", word, self._key)


def _person(value: str, draw: _Draw) -> str:
    """Word by word, so that a last name alone is still that of the full name; initials and particles are told apart."""

    def word(found: re.Match[str]) -> str:
        old = found.group()
        if old.lower() in SMALL:
            return old
        name = draw.word(old).of(NAMES)
        if len(old) == 1:
            return name[0] if old.isupper() else name[0].lower()
        return name.upper() if old.isupper() else name.lower() if old.islower() else name

    return re.sub(r"[^\W\d_]+", word, value)


def _email(value: str, draw: _Draw) -> str:
    return f"{draw.of(NAMES).lower()}.{draw.of(NAMES).lower()}{draw.below(10_000)}@example.com"


def _digits(value: str, draw: _Draw) -> str:
    """Other digits in the same places; letters and signs stay."""
    return DIGIT.sub(lambda _: str(draw.below(10)), value)


def _same_form(value: str, draw: _Draw) -> str:
    """Other digits and letters in the same places, of the same case."""

    def other(letter: str) -> str:
        if letter.isdigit():
            return str(draw.below(10))
        if letter.isalpha():
            drawn = chr(ord("a") + draw.below(26))
            return drawn.upper() if letter.isupper() else drawn
        return letter

    return "".join(map(other, value))


def _phone(value: str, draw: _Draw) -> str:
    """The country code stays, and the last seven digits are 555-01xx, which nobody has in North America."""
    count = len(DIGIT.findall(value))
    code = re.match(r"\s*\+(\d{1,3})[ (.-]", value)
    kept = len(code[1]) if code else 0
    fill = "".join(str(draw.below(10)) for _ in range(max(0, count - kept - 7)))
    new = iter(((code[1] if code else "") + fill + f"55501{draw.below(100):02d}"[-(count - kept) :])[:count])
    return DIGIT.sub(lambda _: next(new), value)


def _card(value: str, draw: _Draw) -> str:
    """Of issuer 9999 99, which no network has, with Luhn's digit."""
    count = len(DIGIT.findall(value))
    body = "999999" + "".join(str(draw.below(10)) for _ in range(count - 7))
    whole = next(body + str(last) for last in range(10) if luhn(body + str(last)))
    new = iter(whole)
    return DIGIT.sub(lambda _: next(new), value)


def _iban(value: str, draw: _Draw) -> str:
    """The country stays, the bank's letters become X, and the two check digits hold."""
    written = folded(value).upper()
    plain = "".join(NOT_IBAN.split(written))
    body = "".join(str(draw.below(10)) if letter.isdigit() else "X" for letter in plain[4:])
    turned = "".join(str(int(letter, 36)) for letter in body + plain[:2] + "00")
    new = iter(f"{plain[:2]}{98 - int(turned) % 97:02d}{body}")
    return "".join(letter if NOT_IBAN.match(letter) else next(new) for letter in written)


def _ip(value: str, draw: _Draw) -> str:
    if ":" in value:
        return f"2001:db8::{draw.below(0xFFFF) + 1:x}:{draw.below(0xFFFF) + 1:x}"
    return f"{draw.of(('192.0.2', '198.51.100', '203.0.113'))}.{draw.below(254) + 1}"


def _mac(value: str, draw: _Draw) -> str:
    """Of the range 00-00-5E-00-53 that documents use (RFC 7042)."""
    return (value[2].join(("00", "00", "5E", "00", "53", "{:02X}"))).format(draw.below(256))


def _birth_date(value: str, draw: _Draw) -> str:
    """Another day and year in the same form: the day at most 28, the year within ten."""

    def other(found: re.Match[str]) -> str:
        old = found.group()
        if len(old) == 4:
            return str(int(old) - 5 + draw.below(11))
        if int(old) <= 12:
            return str(draw.below(12) + 1).zfill(len(old))
        return str(13 + draw.below(16)).zfill(len(old))

    return re.sub(r"\d+", other, value)


def _address(value: str, draw: _Draw) -> str:
    if not any(map(str.isalpha, value)):
        return _digits(value, draw)
    return f"{draw.below(980) + 10} {draw.of(STREETS)} Street, {draw.of(PLACES)} {draw.below(90_000) + 10_000}"


def _secret(value: str, draw: _Draw) -> str:
    """The prefix by which it is known stays, so that code around it reads as before."""
    known = re.match(r"[a-z]{2,6}[-_](?:[a-z]{3,5}[-_])?", value)
    return (known.group() if known else "") + _same_form(value[known.end() if known else 0 :], draw)


MAKERS: Mapping[Type, Callable[[str, _Draw], str]] = {
    Type.PERSON: _person,
    Type.ORGANIZATION: lambda value, draw: f"{draw.of(FIRMS)} {draw.of(('Ltd', 'Group', 'Partners', 'Works'))}",
    Type.LOCATION: lambda value, draw: draw.of(PLACES),
    Type.ADDRESS: _address,
    Type.EMAIL: _email,
    Type.PHONE: _phone,
    Type.CARD: _card,
    Type.IBAN: _iban,
    Type.IP: _ip,
    Type.MAC: _mac,
    Type.BIRTH_DATE: _birth_date,
    Type.SECRET: _secret,
}
