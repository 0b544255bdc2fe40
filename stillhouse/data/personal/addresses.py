"""Postal addresses where they are structured: a house number beside a street, boxes, and what follows to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stillhouse.data.personal.span import Span, Type

__all__ = ["addresses"]


def _each(words: str) -> list[str]:
    return words.split()


STREETS = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Place|Pl|Square|Sq|Terrace|Way|Parkway|"
    "Pkwy|Highway|Hwy|Circle|Cir|Close|Crescent|Grove|Gardens|Mews|Row|Alley|Trail|Crossing|Heights|Plaza|Quay|Walk|"
    "Hill|Park|Rise|Streets|Parade|Esplanade|Freeway|Loop|Pike|Ridge|View|Vista|"
    "street|avenue|road|lane|drive|boulevard|court|place|square|terrace|terrasse|crescent|"
    "STREET|AVENUE|ROAD|LANE|DRIVE|BOULEVARD|utca|útja|út|tér|krt|ulice|náměstí|cesta|trg|ulica"
)
ENDINGS = tuple(
    _each(
        "straße strasse str. str gasse platz allee chaussee gata gatan vägen veien vegen gade plads straat laan "
        "plein gracht dijk katu puiestee stræde götu braut weg vej"
    )
)
WEAK = tuple(_each("damm ufer ring gate kade tie polku kuja tänav vegur pad hof u. út tér trg"))
"""Endings that other words have too."""
BEHIND = frozenset(_each("utca útja út ulice ulica straat strasse straße terrasse allé u. tér trg gate cesta"))
"""Words for a street that stand behind its name."""
AHEAD = frozenset(
    _each(
        "rue avenue boulevard bd place chemin allée impasse quai route via viale piazza corso vicolo largo strada "
        "calle c/ avenida avda avda. plaza paseo carrer camino ronda rua travessa praça estrada alameda ul. ulica "
        "al. os. pl. aleja ulice nám. odos str. bulevardul улица ул. проспект οδός"
    )
)
"""Words for a street that stand before its name."""
NOT_STREETS = frozenset(
    _each("of and to in on for is was at with by from my your his her our i we you the a as or miles km")
)
"""Words that stand in no name of a street, but between a number and a word such as `way`."""
SMALL = frozenset(_each("de del da do dos das di la le les los las el du des della dei van der den am an"))
LEADING = (
    r"(?:rue|avenue|boulevard|bd|place|chemin|allée|impasse|quai|route|via|viale|piazza|corso|vicolo|largo|strada|"
    r"calle|c/|avenida|avda\.?|plaza|paseo|carrer|camino|ronda|rua|travessa|praça|estrada|alameda|"
    r"ul\.|ulica|al\.|os\.|pl\.|aleja|ulice|nám\.|odos|cesta|strada|str\.|bulevardul|улица|ул\.|проспект|οδός)"
)
NAME = r"(?:[^\W\d_][\w'’.\-]{0,24}|\d{1,3}(?:st|nd|rd|th))"
HOUSE = re.compile(
    rf"\d{{1,6}}[A-Za-z]?(?:[-/]\d{{1,4}}[A-Za-z]?)?(?:,? \d{{1,5}})?,? (?:{NAME} ){{1,4}}?(?:{STREETS})(?:\.|\b)"
    r"(?: (?:St|NW|NE|SW|SE|North|South|East|West|N|S|E|W|street)\b\.?)?"
)
FRENCH = re.compile(rf"\d{{1,5}}(?: ?(?:bis|ter|[A-Da-d]))?,? {LEADING} (?:{NAME}[ -]?){{1,5}}", re.IGNORECASE)
UNIT = (
    r"(?:,?\s{1,6}(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Wohnung|Piso|Appt|apt|suite|unit|flat|#)"
    r"\.? ?[\w-]{1,6})"
)
NUMBERED = re.compile(
    rf"(?P<street>\d{{1,6}} (?:{NAME} ){{1,4}}?(?:\d{{1,4}} ){{0,2}}\d{{0,4}}){UNIT}(?!\w)|"
    rf"(?P<town>\d{{2,6}} [^\W\d_a-z][\w'’.-]*(?: [^\W\d_a-z][\w'’.-]*){{0,2}} \d{{1,4}})(?=,\s|\n)"
)
NUMBER = re.compile(r"\d{1,5}(?: ?[a-zA-Z]\b)?(?:[-/]\d{1,4})?(?: \d{1,3}[A-Z]?\b)?")
BOX = re.compile(
    r"(?:P\.? ?O\.? ?Box|Postbox|Postfach|Apartado|Box|Boîte postale|BP) \d{1,7}\b|"
    r"(?:PSC|CMR|Unit|USNS|USS|USNV) ?\w{0,24} ?\d{0,5},? Box \d{1,5}\s{1,2}(?:[AFD]PO) A[AEP] \d{5}",
)
UNITS = re.compile(rf"{UNIT}{{0,2}}")
TOWN = re.compile(r"(?:,?\s{1,6}+[^\W\d_](?: *+[\w'’.()\-]++)*+){0,4}+")
"""Up to four lines of words; a space within a line cannot begin another, so that there is one way to read them."""
CODE = re.compile(
    r",?\s{1,6}+(?:[A-Z]{2},? )?(?:\d{3,6}(?:[- ]\d{2,4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|"
    r"[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{4} ?[A-Z]{2})\b"
)
LONGEST_TOWN, LONGEST_CODE = 120, 32
"""Characters that are looked at behind a street, so that a long text takes no longer than its length."""
DIGITS = re.compile(r"\d+")
POSTCODE = re.compile(
    r"(?:\bzip(?: ?code)?|post ?code|postal code|postcode|\bplz|code postal|código postal|\bcap)\b"
    r"(?: is| ist|:|=| -)?\s{1,2}"
    r"(?P<found>\d{3,6}(?:[- ]\d{2,4})?|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|[a-z]\d[a-z] ?\d[a-z]\d)\b"
)
POSTCODE_WORDS = ("zip", "post", "plz", "cap ")


def addresses(text: str, low: str) -> Iterator[Span]:
    """Postal addresses, the unit and the town with its code included; `low` is the text in small letters."""
    if "ox " in text or "fach " in text or "artado " in text:
        for found in BOX.finditer(text):
            yield Span(found.start(), _rest(text, found.end()), Type.ADDRESS, 0.8)
    if any(word in low for word in POSTCODE_WORDS):
        for found in POSTCODE.finditer(low):
            yield Span(*found.span("found"), Type.ADDRESS, 0.8, "postcode")
    done = 0
    for digits in DIGITS.finditer(text):
        start, end = digits.span()
        if start < done or end - start > 6 or _is_inside(text, start, end):
            continue
        span = _at(text, start)
        if span:
            done = span.end
            yield span


def _is_inside(text: str, start: int, end: int) -> bool:
    """Whether digits are part of a word, an amount or a longer number."""
    before, behind = text[start - 1 : start], text[end : end + 2]
    return (
        before.isalnum()
        or before in ("$", "€", "£", "_", ".", "@", ":")
        or behind[:1] in ("%", "_", "@", ":")
        or (behind[:1] in (".", ",") and behind[1:].isdigit())
    )


def _at(text: str, start: int) -> Span | None:
    """The address whose house number begins here."""
    for look in (HOUSE, FRENCH):
        found = look.match(text, start)
        if found and any(map(str.isupper, found.group())) and NOT_STREETS.isdisjoint(found.group().lower().split()):
            return Span(start, _rest(text, found.end()), Type.ADDRESS, 0.75)
    before, is_weak = _street_before(text, start)
    number = NUMBER.match(text, start) if before < start else None
    if number:
        end = _rest(text, number.end())
        if not is_weak or end > number.end():
            return Span(_begin(text, before), end, Type.ADDRESS, 0.75)
    found = NUMBERED.match(text, start)
    return (
        Span(start, _rest(text, found.end("street" if found["street"] else "town")), Type.ADDRESS, 0.7)
        if found
        else None
    )


def _begin(text: str, start: int) -> int:
    """Where an address begins that may have its number before the street too: `6750 Koskikatu 25`."""
    found = re.search(r"(?<![\w.,$])\d{1,6} $", text[max(0, start - 8) : start])
    return start - len(found.group()) if found else start


def _street_before(text: str, end: int) -> tuple[int, bool]:
    """Where the name of a street begins that ends just before a place, or that place; and whether it may be no street.

    Read word by word from its end: a pattern that looks for where one may begin would be slow.
    """
    line = max(text.rfind("\n", max(0, end - 56), end), max(0, end - 56) - 1) + 1
    words = text[line:end].split(" ")
    if len(words) < 2 or words[-1]:
        return end, False
    words.pop()
    last = words[-1].lower()
    if last in ("nr", "nr.", "no", "no.", "n°", "nº") and len(words) > 1:
        words.pop()
        last = words[-1].lower()
    named = _named(words)
    for count in range(2, named + 2):
        if count <= len(words) and words[-count].lower() in AHEAD:
            return _back(text, line, end, count), False
    if last in BEHIND and named > 1:
        return _back(text, line, end, min(named, 4)), last in WEAK
    if named and len(last) > 5 and last.endswith(ENDINGS):
        return _back(text, line, end, min(named, 2)), False
    return (_back(text, line, end, min(named, 3)), True) if named and last.endswith(WEAK) else (end, False)


def _named(words: list[str]) -> int:
    """How many words at the end may be a name: all begin with letters, and the first of them with a capital."""
    count = 0
    for place, word in enumerate(reversed(words[-5:]), start=1):
        if not (word[:1].isalpha() and (word[-1:].isalnum() or word[-1:] == ".")):
            break
        if word[0].isupper():
            count = place
        elif word not in SMALL and place > 1:
            break
    return count


def _back(text: str, line: int, end: int, words: int) -> int:
    """Where the last words before a place begin, the space between included."""
    return end - len(" ".join(text[line:end].split(" ")[-words - 1 :]))


def _rest(text: str, end: int) -> int:
    """The end of an address with its unit, town and code, as far as they follow."""
    found = UNITS.match(text, end)
    end = found.end() if found else end
    town = TOWN.match(text, end, end + LONGEST_TOWN)
    last = town.end() if town else end
    codes = CODE.finditer(text, end, last + LONGEST_CODE)
    return next((code.end() for code in codes if code.start() <= last), end)
