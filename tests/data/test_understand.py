from __future__ import annotations

import json
import random

import pytest

from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.data.understand import describe, learn_answer_form, learn_prompt_form
from stillhouse.errors import NotATask, TrafficError, UsageError

SYSTEM = Message("system", "You sort mail. " * 20)
WORDS = ["parcel", "card", "refund", "late", "broken", "thanks", "where", "why", "my", "account"]


def prompts(template: str, rows: int = 200, leading: tuple[Message, ...] = ()) -> list[tuple[Message, ...]]:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=5)) + rng.choice("?.!") for _ in range(rows)]
    return [(*leading, Message("user", template.replace("{}", text))) for text in texts]


def answers(*groups: tuple[str, int]) -> list[tuple[str, str]]:
    rows = [answer for answer, count in groups for _ in range(count)]
    return [(answer, f"calls.jsonl, line {line}") for line, answer in enumerate(rows, 1)]


@pytest.mark.parametrize(
    ("template", "prefix", "suffix"),
    [
        ("{}", "", ""),
        ("Sort this mail.\n\nMail: {}\n\nLabel:", "Sort this mail.\n\nMail:", "\n\nLabel:"),
        ('Which label fits "{}"? Answer in one word.', 'Which label fits "', '"? Answer in one word.'),
        ("<mail>\n{}\n</mail>", "", "\n</mail>"),
        ("Hello I am writing because {}", "", ""),
        ("Why doesn't {}", "", ""),
        ("{} please help me soon", "", ""),
    ],
)
def test_templates_are_found_and_words_that_texts_share_by_chance_stay(template, prefix, suffix):
    form = learn_prompt_form(prompts(template))
    assert (form.prefix, form.suffix) == (prefix, suffix)
    assert all(form.read(prompt) for prompt in prompts(template))


def test_the_system_message_and_examples_are_set_aside():
    leading = (SYSTEM, Message("user", "Mail: hi"), Message("assistant", "other"))
    rows = prompts("{}", leading=leading)
    strays = prompts("{}", rows=10, leading=(Message("system", "Be brief."),))
    form = learn_prompt_form(rows + strays)
    assert form == PromptForm(leading=leading)
    assert form.read(strays[0]) is None


def test_two_percent_may_lack_the_template():
    form = learn_prompt_form(prompts("Mail to sort: {}", rows=198) + prompts("{}", rows=2))
    assert form.prefix == "Mail to sort:"
    assert learn_prompt_form(prompts("Mail to sort: {}", rows=190) + prompts("{}", rows=10)).prefix == ""


def test_equal_prompts_and_a_handful_of_prompts_keep_their_words():
    same = [(Message("user", "Ticket: where is my parcel?"),)] * 50
    assert learn_prompt_form(same) == PromptForm()
    assert learn_prompt_form(prompts("Ticket to sort: {}", rows=5)) == PromptForm()


def test_conversations_are_seen():
    turns = [(*prompt, Message("assistant", "Which one?"), Message("user", "The blue one")) for prompt in prompts("{}")]
    assert learn_prompt_form(turns).several_turns
    assert not learn_prompt_form(prompts("{}") + turns[:1]).several_turns


def test_the_order_of_the_rows_changes_nothing():
    rows = prompts("Mail: {}\nLabel it:", leading=(SYSTEM,))
    pairs = answers(("b", 5), ("a", 5), (" a", 5), ('"quoted"', 9))
    shuffled, mixed = rows[::-1], random.Random(1).sample(pairs, len(pairs))
    assert learn_prompt_form(rows) == learn_prompt_form(shuffled)
    assert learn_answer_form(pairs) == learn_answer_form(mixed)


def test_labels_with_spaces_quotes_emoji_and_newlines():
    labels = ["two words", 'say "hi"', "🙂", "line\nbreak", "it's"]
    form = learn_answer_form(answers(*((label, 9 - index) for index, label in enumerate(labels))))
    assert form.fields[0].labels == tuple(labels)
    assert form.pieces == (0,)
    assert form.read(" 🙂\n") == (2,)


def test_many_labels_rare_labels_and_one_label_for_nearly_all_rows():
    form = learn_answer_form(answers(*((f"label_{index}", 4) for index in range(150)), ("seen once", 1)))
    assert len(form.fields[0].labels) == 151
    assert learn_answer_form(answers(("spam", 95), ("ham", 5))).fields[0].labels == ("spam", "ham")


def test_json_fields_constants_and_layout():
    rows = [
        json.dumps({"version": 1, "intent": intent, "priority": priority})
        for intent, priority in [("refund", "high"), ("order", "low"), ("order", None)] * 5
    ]
    compact = json.dumps({"version": 1, "intent": "order", "priority": "low"}, separators=(",", ":"))
    form = learn_answer_form(answers(*((row, 1) for row in [*rows, compact])))
    assert [(field.name, field.labels) for field in form.fields] == [
        ("intent", ('"order"', '"refund"')),
        ("priority", ('"low"', '"high"', "null")),
    ]
    assert "".join(form.write([0, 1])) == '{"version": 1, "intent": "order", "priority": "high"}'
    assert form.read(compact) == (0, 0)


def test_a_code_fence_belongs_to_the_answer():
    fenced = ['```json\n{"intent": "%s"}\n```' % intent for intent in ("a", "b")]  # noqa: UP031 braces are JSON
    form = learn_answer_form(answers((fenced[0], 5), (fenced[1], 5)))
    assert "".join(form.write(form.read('{"intent":"b"}') or ())) == fenced[1]


def test_a_key_that_some_rows_lack_counts_as_null():
    form = learn_answer_form(answers(('{"a": 1, "b": "x"}', 5), ('{"a": 2}', 8)))
    assert {field.name: field.labels for field in form.fields} == {"a": ("2", "1"), "b": ("null", '"x"')}
    assert form.read('{"a": 2}') == (0, 0)
    assert "".join(form.write([0, 0])) == '{"a": 2, "b": null}'


def test_numbers_beyond_64_bits_are_labels_as_they_are_written():
    form = learn_answer_form(answers((f'{{"a": {9**30}}}', 5), ('{"a": 3}', 4)))
    assert form.fields[0].labels == (str(9**30), "3")
    assert form.read(f'{{"a":{9**30}}}') == (0,)


def test_lists_and_objects_are_labels_when_they_are_few():
    form = learn_answer_form(answers(('{"tags": ["a", "b"]}', 5), ('{"tags":[]}', 3), ('{"tags": ["a","b"]}', 4)))
    assert form.fields[0].labels == ('["a", "b"]', "[]")


def test_a_free_key_is_named_with_rows_and_what_to_do():
    rows = [(json.dumps({"intent": "ab"[row % 2], "why": f"because of {row}"}), 1) for row in range(40)]
    with pytest.raises(NotATask) as error:
        learn_answer_form(answers(*rows))
    text = str(error.value)
    assert '"why" varies freely' in text
    assert 'calls.jsonl, line 1: “"because of 0"”' in text
    assert "--fields intent" in text
    form = learn_answer_form(answers(*rows), fields=["intent"])
    assert "".join(form.write([0])) == '{"intent": "a"}'
    assert form.read(rows[1][0]) == (1,)


def test_free_text_is_named_with_rows():
    with pytest.raises(NotATask) as error:
        learn_answer_form(answers(*((f"Thank you for message {row}, " + "we care. " * 10, 1) for row in range(30))))
    assert "calls.jsonl, line 3: “Thank you for message 2, we care. we care. we care. we care." in str(error.value)


def test_a_few_answers_of_another_kind_are_left_to_the_row_by_row_check():
    apology = "I am sorry, but I cannot decide this without knowing more about what the customer wrote."
    form = learn_answer_form(answers(("a", 50), ("b", 46), (apology, 1), ('{"label": "a"}', 3)))
    assert form.fields[0].labels == ("a", "b")
    with pytest.raises(NotATask, match="some are JSON objects"):
        learn_answer_form(answers(("a", 50), ("b", 40), ('{"label": "a"}', 10)))


@pytest.mark.parametrize("answer", ["refund", '{"intent": "refund"}'])
def test_a_constant_needs_no_model(answer):
    with pytest.raises(NotATask, match="A constant needs no model"):
        learn_answer_form(answers((answer, 30)))


def test_no_answers_at_all():
    with pytest.raises(TrafficError, match="No row holds an answer"):
        learn_answer_form([])


def test_the_user_overrules_the_labels():
    pairs = answers(*((f"word {row}", 1) for row in range(20)), ("spam", 3), ("ham", 4))
    assert learn_answer_form(pairs, labels=["spam", "ham", "eggs"]).fields[0].labels == ("ham", "spam", "eggs")
    with pytest.raises(NotATask, match="None of the answers"):
        learn_answer_form(pairs, labels=["x", "y"])


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        ("a", {"labels": ["a"]}, "at least two labels"),
        ("a", {"fields": ["intent"]}, "not JSON objects"),
        ('{"intent": 1}', {"fields": ["intnt"]}, "no key 'intnt'. Their keys are: intent"),
        ('{"intent": 1}', {"labels": ["1", "2"]}, "the answers are JSON objects"),
    ],
)
def test_options_that_do_not_fit_the_answers(answer, options, message):
    with pytest.raises(UsageError, match=message):
        learn_answer_form(answers((answer, 5)), **options)


def test_what_was_found_is_said_in_plain_sentences():
    form = learn_prompt_form(prompts("Mail to sort: «{}»\nLabel it:", leading=(SYSTEM,)))
    labels = learn_answer_form(answers(*((f"label {index}", 9 - index) for index in range(7))))
    assert describe(form, labels) == [
        "Every call starts with the same system message (300 characters), set aside: "
        "“You sort mail. You sort mail. You sort mail. You sort mail. …”",
        "In the last message, the student reads what stands after “Mail to sort: «” and before “» Label it:”.",
        "The answer is one of 7 labels: “label 0”, “label 1”, “label 2”, “label 3”, “label 4” and 2 more.",
    ]
    fields = learn_answer_form(answers(('{"a": "x", "b": 1}', 5), ('{"a": "y", "b": 2}', 4)))
    assert describe(PromptForm(several_turns=True), fields) == [
        "Some calls have several turns; the student reads all of them.",
        "The answer is a JSON object in which 2 keys vary:",
        '"a", one of 2 labels: “x”, “y”.',
        '"b", one of 2 labels: “1”, “2”.',
        'It is written like this: {"a": "x", "b": 1}',
    ]
