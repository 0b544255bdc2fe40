from __future__ import annotations

import pytest

from stillhouse.data.curation.languages import Languages, Part, languages, open_identifier
from stillhouse.data.items import Facts, Item, Kind
from stillhouse.errors import UsageError

SENTENCES = {
    "en": "The meeting was moved to Thursday because half of the team is travelling.",
    "de": "Die Besprechung wurde auf Donnerstag verlegt, weil das halbe Team verreist ist.",
    "fr": "La réunion a été reportée à jeudi parce que la moitié de l'équipe voyage.",
    "es": "La reunión se aplazó al jueves porque medio equipo está de viaje.",
    "it": "La riunione è stata spostata a giovedì perché metà della squadra è in viaggio.",
    "pt": "A reunião foi adiada para quinta-feira porque metade da equipa está a viajar.",
    "nl": "De vergadering is verplaatst naar donderdag omdat het halve team op reis is.",
    "pl": "Spotkanie przeniesiono na czwartek, bo połowa zespołu podróżuje.",
    "tr": "Ekibin yarısı seyahatte olduğu için toplantı perşembeye alındı.",
    "ru": "Встречу перенесли на четверг, потому что половина команды в отъезде.",
    "zh": "会议改到星期四,因为一半的团队成员在出差。",
    "ja": "チームの半分が出張中なので、会議は木曜日に変更されました。",
    "ar": "تم تأجيل الاجتماع إلى يوم الخميس لأن نصف الفريق مسافر.",
}


def text(words: str, **facts: object) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": words},), facts=Facts(**facts))


def codes(rows: list[Item], settings: Languages | None = None) -> list[str | None]:
    return [item.facts.language for item in languages(rows, settings or Languages()).kept]


def test_languages_are_told_apart():
    assert codes([text(words) for words in SENTENCES.values()]) == list(SENTENCES)


def test_only_what_is_to_be_kept_stays_and_rows_in_doubt_stay_unless_said():
    rows = [text(words) for words in SENTENCES.values()] + [text("42")]
    found = languages(rows, Languages(keep=("en", "de")))
    assert [item.facts.language for item in found.kept] == ["en", "de", None]
    assert {why for _, why in found.dropped} == {f"language: {code}" for code in SENTENCES if code not in ("en", "de")}
    strict = languages(rows, Languages(keep=("en", "de"), drop_unsure=True))
    assert ([why for _, why in strict.dropped][-1], strict.counts["kept"]) == ("language: cannot be told", 2)


def test_short_questions_are_in_the_language_of_the_others():
    unsure = "set alarm for noon"
    shares = dict(open_identifier().rank(unsure))
    assert 0.1 < shares["en"] < 0.9
    assert codes([text(SENTENCES["en"])] * 3 + [text(unsure)]) == ["en"] * 4
    assert codes([text(SENTENCES["ja"])] * 3 + [text(unsure)])[-1] is None


def test_code_and_addresses_say_nothing_and_what_is_known_stays():
    german = (
        f"```python\nfor item in the_things_that_we_have: print(item)\n``` https://example.org/the {SENTENCES['de']}"
    )
    assert codes([text(german)]) == ["de"]
    assert codes([text("`the only words here are code`")]) == [None]
    assert codes([text(SENTENCES["de"], language="xx")]) == ["xx"]
    assert codes([text(SENTENCES["de"], language="xx")], Languages(anew=True)) == ["de"]


def test_the_answer_is_read_where_that_is_said():
    row = Item(
        Kind.CHAT, ({"role": "user", "content": SENTENCES["en"]},), {"role": "assistant", "content": SENTENCES["fr"]}
    )
    assert codes([row], Languages(of=Part.ANSWER)) == ["fr"]


def test_what_means_nothing_is_refused():
    for wrong in ({"keep": ("German",)}, {"sure": 1.0}, {"sure": 0.2}, {"keep": ("de",), "among": ("en",)}):
        with pytest.raises(UsageError):
            Languages(**wrong)
    with pytest.raises(UsageError, match="cannot be told"):
        languages([text(SENTENCES["en"])], Languages(among=("en", "qq")))
