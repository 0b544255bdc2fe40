from __future__ import annotations

import pytest

from stillhouse.data.curation.flaws import cut_off, damaged, is_json, left_over, loops

PROSE = (
    "The river rose above its banks in the night, and by morning the lower town stood under a metre of water. "
    "Boats were brought from the harbour. Nobody was hurt, though many cellars were lost, and the baker gave away "
    "what he had before it spoiled. In the afternoon the rain stopped and people began to carry their things out. "
    "The mayor asked the neighbouring towns for pumps; three of them came the same evening with hoses and lamps."
)


@pytest.mark.parametrize("text", ['{"a": 1}', "[1]", '```json\n{"a": 1}\n```', " 3 "])
def test_json_is_known(text):
    assert is_json(text)


@pytest.mark.parametrize("text", ['{"a": 1', "hello", "", "{'a': 1}", '{"a": 1} and more'])
def test_what_is_no_json(text):
    assert not is_json(text)


@pytest.mark.parametrize(
    ("text", "cut"),
    [("```python\nprint(1)\n", True), ("```\nx\n```", False), ("```\nx\n```\nThat is all", False),
     ("a\n```sh\nls", True),
     ("no code here", False), ("```js\nx\n\nThis prints x.", False)],
)  # fmt: skip
def test_code_that_does_not_end(text, cut):
    assert bool(cut_off(text)) == cut


@pytest.mark.parametrize(
    "text",
    ["ha ha no. " + "I will go to the shop. " * 6, "x" * 60, "1, 2, " * 20, "\n".join(["- Item: Cabo"] * 40 + [PROSE]),
     " ".join(["word"] * 400)],
)  # fmt: skip
def test_loops_are_found(text):
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [PROSE, "ha ha ha", "| a | b |\n|---|---|\n" + "| 1 | 2 |\n", "no no no no", "-" * 80, "", "=" * 300 + PROSE],
)
def test_what_is_no_loop(text):
    assert loops(text) == ""


@pytest.mark.parametrize(
    "text", ["schÃ¶n", "Itâ€™s", "costs Â£5", "cafÃ©", "lost \ufffd", "a\x00b", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "ðŸ˜€"]
)
def test_damage_is_found(text):
    assert damaged(text)


@pytest.mark.parametrize(
    "text",
    ["schön", "It’s", "£5", "CAFÉ »", "привет", "😀", "会议", "Ångström", "naïve “quotes”", "tab\tline\n", "¿Qué?"],
)
def test_sound_letters_are_none(text):
    assert damaged(text) == ""


@pytest.mark.parametrize("text", ["<|im_end|>", "Yes.</s>", "[INST] go", "### Response:\nyes", "Human: and you?"])
def test_marks_of_templates(text):
    assert left_over(text, asked=False)


def test_blanks_count_in_questions_without_code():
    assert left_over("Dear {{ customer_name }}, hello", asked=True) == "the blank '{{ customer_name }}'"
    assert left_over("Order ${order.id} is late", asked=True)
    assert left_over("Dear {{ customer_name }}, hello", asked=False) == ""
    assert left_over("Explain this Jinja template: {{ name }}", asked=True) == ""
    assert left_over("## Input\nA heading of Markdown; {a set}", asked=True) == ""
