"""Templates say what is wrong with them before anything is asked, and fill in what they are given and nothing else."""

from __future__ import annotations

import pytest

from stillhouse.data.items import Facts, Item, Kind, Media
from stillhouse.errors import DataError, UsageError
from stillhouse.generation.templates import OF_ITEMS, Example, Template, item_values, read_template

TOML = """
system = "You sort requests of {shop}."
user = '''
One of {label_names}.
{{"like": "this"}}
{text}'''
[[examples]]
text = "where is it"
answer = "shipping"
[request]
temperature = 0.5
[values]
shop = "the shop"
[schema]
type = "object"
required = ["label"]
properties.label = { enum = ["billing", "shipping"] }
"""


def test_a_template_is_read_and_filled(tmp_path):
    place = tmp_path / "ask.toml"
    place.write_text(TOML)
    template = read_template(place)
    template.check([*OF_ITEMS, "label_names"])
    assert template.blanks == {"shop", "label_names", "text"}
    messages = template.fill({"text": "my {text} {{money}}", "label_names": "billing, shipping"})
    head = 'One of billing, shipping.\n{"like": "this"}\n'
    assert messages == [
        {"role": "system", "content": "You sort requests of the shop."},
        {"role": "user", "content": f"{head}where is it"},
        {"role": "assistant", "content": "shipping"},
        {"role": "user", "content": head + "my {text} {{money}}"},
    ]
    said = template.body()
    assert said["temperature"] == 0.5
    assert said["response_format"]["json_schema"]["schema"]["required"] == ["label"]
    checks = template.answers()
    assert checks is not None
    assert checks.mismatch({"label": "billing"}) is None
    assert "'nothing'" in (checks.mismatch({"label": "nothing"}) or "")
    assert template.to_json()["examples"] == [{"text": "where is it", "answer": "shipping"}]


def test_plain_text_is_what_the_user_says_and_files_fill_blanks(tmp_path):
    (tmp_path / "ask.txt").write_text("Label this:\n{text}\n")
    assert read_template(tmp_path / "ask.txt").fill({"text": "x"}) == [{"role": "user", "content": "Label this:\nx"}]
    (tmp_path / "book.md").write_text("All returns are free.")
    (tmp_path / "ask.toml").write_text('user = "{handbook} {text}"\nfiles.handbook = "book.md"\n')
    assert read_template(tmp_path / "ask.toml").fill({"text": "x"})[0]["content"] == "All returns are free. x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one {text", r"`user`, line 1, column 5: '\{' belongs to no blank"),
        ("one\n  text} two", r"line 2, column 7: '\}' belongs to no blank"),
        ('{"label": 1}', "is no name of a blank.*written twice"),
        ("{}", "is no name of a blank"),
        ("{a b}", "is no name of a blank"),
    ],
)
def test_a_malformed_blank_is_shown_with_its_place(text, said):
    with pytest.raises(UsageError, match=said):
        Template(user=text)


def test_an_unknown_blank_is_named_with_the_nearest():
    with pytest.raises(UsageError, match=r"Nothing fills the blank \{txet\}\. Did you mean \{text\}\?"):
        Template(user="{txet}").check(OF_ITEMS)
    Template(user="{metadata.channel} {text}").check(OF_ITEMS)
    with pytest.raises(UsageError, match=r"Example 1 of the template fills no \{text\}"):
        Template(user="{text}", examples=[Example({}, "x")]).check(OF_ITEMS)
    with pytest.raises(UsageError, match=r"Example 1 fills 'txt'.*Did you mean \{text\}"):
        Template(user="{text}", examples=[Example({"txt": "x"}, "x")])
    with pytest.raises(UsageError, match="a value for 'book'"):
        Template(user="{text}", values={"book": "x"})


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("user = 3", "no text `user`"),
        ("usr = 'x'", "Did you mean 'user'"),
        ("user = '{text}'\nsystem = 1", "`system` is 1"),
        ("user = '{text}'\nvalues = 1", "`values` is 1"),
        ("user = '{text}'\nexamples = [1]", "example 1 has no text `answer`"),
        ("user = '{text}'\nexamples = [{ text = 'x' }]", "example 1 has no text `answer`"),
        ("user = '{text}'\nrequest.messages = []", "sets 'messages'"),
        ("user = '{text}'\nschema.type = 'nothing'", "schema cannot be used"),
        ("user = '{text}'\nfiles.book = 'none.md'", r"the file of the blank \{book\}"),
        ("user = ", "is not TOML"),
    ],
)
def test_a_file_that_is_no_template_says_why(tmp_path, toml, said):
    place = tmp_path / "ask.toml"
    place.write_text(toml)
    with pytest.raises(UsageError, match=said) as caught:
        read_template(place)
    assert "ask.toml" in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read"):
        read_template(tmp_path / "none.txt")


def test_an_item_fills_what_it_has():
    item = Item(
        Kind.TEXT, ({"role": "user", "content": "hi"},), truth="greeting", facts=Facts(metadata={"channel": "web"})
    )
    values = item_values(item)
    assert values == {"text": "hi", "conversation": "user: hi", "truth": "greeting", "metadata.channel": "web"}
    with pytest.raises(DataError, match=r"nothing for the blank \{label\}"):
        Template(user="{text} {label}").fill(values)
    picture = Item(Kind.IMAGE, media=(Media("0" * 64, "image/png", "a.png", 3),))
    assert item_values(picture) == {"text": ""}


def test_a_template_that_would_ask_the_same_of_every_item_is_refused():
    item = Item(Kind.TEXT, ({"role": "user", "content": "where is it"},))
    for user in ("", "Sort this.", "One of {label_names}."):
        with pytest.raises(UsageError, match=r"no blank that an item fills.*Write \{text\}"):
            Template(user=user).check_item(item)
    for user in ("{text}", "For {metadata.team}."):
        Template(user=user).check_item(item)
    Template(user="What is this?").check_item(Item(Kind.IMAGE, media=(Media("d" * 64, "image/png", "a.png", 3),)))
