from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.data.items import Facts, Item, Kind
from stillhouse.data.pii import CERTAIN, Type, find
from stillhouse.data.redact import How, Redactor, changed_texts, parse_types, redacted
from stillhouse.data.sealing import reveal
from stillhouse.errors import UsageError

KEY = b"0123456789abcdef"
FORMS = frozenset(Type) - {Type.PERSON, Type.ORGANIZATION, Type.LOCATION}
VALUES = [
    "4111 1111 1111 1111",
    "ann@example.org",
    "+44 20 7946 0958",
    "GB29NWBK60161331926819",
    "853-37-1694",
    "203.0.113.9",
    "password: hunter2!",
    "12 rue de la Paix, 75002 Paris",
    "born on 3 March 1980",
    "00:1A:2B:3C:4D:5E",
    "RSSMRA85T10A562S",
    "http://ann:s3cr3t@example.org/",
    "AKIAIOSFODNN7EXAMPLE",
    "Ann Lee",
    "i met maria and John Smith in Berlin",
    "Unit 4719 Box 7394\nDPO AP 70942",
]
texts = st.lists(st.sampled_from(VALUES) | st.text(max_size=12), max_size=8).flatmap(
    lambda parts: st.sampled_from([" ", "", ", ", "\n"]).map(lambda gap: gap.join(parts))
)


def redactor(how: How = How.REDACT, types: frozenset[Type] = FORMS) -> Redactor:
    return Redactor(how, types, KEY)


def test_each_way():
    text = "Write to ann@example.org or ann@example.org."
    assert redactor().text(text) == "Write to [EMAIL] or [EMAIL]."
    one, other = redactor(How.HASH).text(text).removeprefix("Write to ").rstrip(".").split(" or ")
    assert one == other
    assert one.startswith("[EMAIL:")
    stand_ins = redactor(How.PSEUDONYMISE).text(text)
    assert "ann@" not in stand_ins
    assert stand_ins.count("@example.com") == 2
    sealed = redactor(How.VAULT).text(text)
    assert "ann" not in sealed
    assert reveal(sealed, KEY) == text


@settings(deadline=None, max_examples=150)
@given(texts, st.sampled_from([How.REDACT, How.HASH, How.VAULT]), st.sampled_from([FORMS, frozenset(Type)]))
def test_nothing_is_found_in_what_was_redacted(text, how, types):
    done = redactor(how, types).text(text)
    assert find(done, types) == []


@settings(deadline=None, max_examples=150)
@given(texts)
def test_what_was_sealed_comes_back_to_the_letter(text):
    assert reveal(redactor(How.VAULT, frozenset(Type)).text(text), KEY) == text


@settings(deadline=None)
@given(texts, st.sampled_from(list(How)))
def test_the_same_again(text, how):
    assert redactor(how).text(text) == redactor(how).text(text)


def test_json_stays_json_and_its_names_are_words_beside_values():
    told = {
        "ssn": "853371694",
        "card": 4111111111111111,
        "note": "line\nann@example.org",
        "n": 12,
        "list": [{"phone": "5551234567"}],
    }
    for dumped in (json.dumps(told), json.dumps(told, indent=2), json.dumps(told, separators=(",", ":"))):
        done = redactor().text(dumped)
        assert json.loads(done) == {
            "ssn": "[NATIONAL_ID]",
            "card": "[CARD]",
            "note": "line\n[EMAIL]",
            "n": 12,
            "list": [{"phone": "[PHONE]"}],
        }
        assert done.count("\n") == dumped.count("\n")
        opened = json.loads(reveal(redactor(How.VAULT).text(dumped), KEY))
        assert opened == {**told, "card": "4111111111111111"}
    clean = '{"a" :1,  "b": "c"}'
    assert redactor().text(clean) == clean


@pytest.mark.parametrize("how", list(How))
def test_json_nested_deeper_than_python_goes_is_looked_through_as_words(how):
    for depth in (300, 600, 900, 20_000):
        done = redactor(how).text("[" * depth + '"ann@example.org"' + "]" * depth)
        assert "ann@" not in done
        assert done.startswith("[" * depth)


@pytest.mark.parametrize("how", list(How))
def test_half_characters_in_json_stay_escapes(how):
    done = redactor(how).text('{"a": "\\ud83d é ann@example.org", "\\udc00": 1}')
    done.encode()
    assert "ann@" not in done
    told = json.loads(done)
    assert told["a"].startswith("\ud83d é ")
    assert told["\udc00"] == 1


def test_keys_of_json_are_looked_through_and_stay_apart():
    told = {
        "ann@example.org": "admin",
        "bob@example.org": "guest",
        "called by Mr. John Miller": 1,
        "Jordan": 2,
        "email": "a@b.org",
    }
    assert json.loads(redactor(types=CERTAIN).text(json.dumps(told))) == {
        "[EMAIL]": "admin", "[EMAIL] 2": "guest", "called by Mr. [PERSON]": 1, "Jordan": 2, "email": "[EMAIL]"
    }  # fmt: skip
    assert json.loads(reveal(redactor(How.VAULT, CERTAIN).text(json.dumps(told)), KEY)) == told


def item() -> Item:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"email": "ann@example.org"}'}}
    return Item(
        Kind.CHAT,
        messages=(
            {"role": "system", "content": "Help ann@example.org."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "I am at 203.0.113.9"},
                    {"type": "image_url", "image_url": {"url": "x"}},
                ],
            },
        ),
        answer={"role": "assistant", "content": None, "tool_calls": [call]},
        rejected={"role": "assistant", "content": "Ask bob@example.org"},
        label="Washington",
        truth="card 4111111111111111",
        rationale="since 853-37-1694",
        soft={"Washington": 1.0},
        facts=Facts(
            conversation="+44 20 7946 0958",
            tags=("eu", "from:bob@example.org"),
            subject="ann@example.org",
            metadata={"phone": "5551234567", "subject": "ann@example.org", "use": "3"},
        ),
    )


def test_every_text_of_an_item_is_changed_and_what_it_is_found_by_stays():
    by_form = redactor(types=frozenset(Type))
    done = by_form.item(item())
    told = json.dumps(done.to_json())
    for gone in ("203.0.113.9", "bob@", "4111", "853-37", "5551234567"):
        assert gone not in told
    assert done.label == "Washington"
    assert done.facts.metadata == {"phone": "[PHONE]", "subject": "ann@example.org", "use": "3"}
    assert done.facts.subject == "ann@example.org"
    assert done.facts.tags == ("eu", "from:[EMAIL]")
    assert done.facts.conversation == "+44 20 7946 0958"
    assert json.loads(done.answer["tool_calls"][0]["function"]["arguments"]) == {"email": "[EMAIL]"}
    assert done.messages[1]["content"][1] == item().messages[1]["content"][1]
    assert by_form.counts[Type.EMAIL] == 4
    sealed = redactor(How.VAULT).item(item())
    assert changed_texts(sealed, lambda text: reveal(text, KEY)) == item()


def test_items_are_counted():
    from collections import Counter

    plain = Item(Kind.TEXT, ({"role": "user", "content": "hello"},))
    touched: Counter[str] = Counter()
    assert [each == plain for each in redacted([plain, item()], redactor(), touched)] == [True, False]
    assert touched == {"unchanged": 1, "changed": 1}


def test_kinds_are_named():
    assert parse_types(["email", "card"]) == {Type.EMAIL, Type.CARD}
    assert parse_types(["all"]) == set(Type)
    with pytest.raises(UsageError, match=r"'mail' is no kind.*email"):
        parse_types(["mail"])


def test_a_key_is_needed_for_all_but_redaction():
    Redactor()
    with pytest.raises(UsageError, match="16 bytes"):
        Redactor(How.VAULT, key=b"short")
