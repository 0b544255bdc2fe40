"""What a teacher sees, and what its student does not."""

from __future__ import annotations

import pytest

from stillhouse.data.items import Item, Kind
from stillhouse.errors import UsageError
from stillhouse.generation.context import Context, distil, opening, show
from stillhouse.generation.inquiry import Inquiry
from stillhouse.generation.passages import PassagesByWords
from tests.generation.rules import Words, asking

INQUIRY = Inquiry("large", Words("{context}\n\nAsked: {question}"))
HANDBOOK = ["A refund takes five days.", "A lost card is blocked at once.", "Parcels that are late cost no fee."]


def chat(text, answer=None):
    said = None if answer is None else {"role": "assistant", "content": answer}
    return Item(Kind.CHAT, ({"role": "system", "content": "Be brief."}, {"role": "user", "content": text}), said)


ASKED = [chat("How long does a refund take?"), chat("What if my card is lost?")]
EXAMPLES = (chat("Is a late parcel dear?", "No."), chat("When is a refund there?", "Soon."), ASKED[0])


def answers(words, _):
    """What the handbook says, if it was shown."""
    return "five days" if "five days" in words else "at once" if "at once" in words else "I do not know"


def test_the_student_gets_the_answer_without_the_passages(tmp_path):
    context = Context(passages=PassagesByWords(HANDBOOK), per_prompt=1)
    with asking(answers, tmp_path) as (rules, ask):
        found = distil(INQUIRY, context, ASKED, ask)
    assert [item.words for item in found.kept] == ["five days", "at once"]
    assert [item.messages for item in found.kept] == [item.messages for item in ASKED]
    assert [item.facts.metadata["passages"] for item in found.kept] == ["0", "1"]
    asked = rules.asked[0]["messages"]
    assert asked[0] == {"role": "system", "content": "Be brief."}
    assert asked[1]["content"] in {
        "[1] A refund takes five days.\n\nAsked: How long does a refund take?",
        "[1] A lost card is blocked at once.\n\nAsked: What if my card is lost?",
    }


def test_or_learns_to_use_them(tmp_path):
    context = Context(passages=PassagesByWords(HANDBOOK), per_prompt=1)
    with asking(answers, tmp_path) as (_, ask):
        found = distil(INQUIRY, context, ASKED, ask, keep=True)
    assert "[1] A refund takes five days." in found.kept[0].text


def test_examples_are_the_nearest_and_never_the_prompt_itself():
    texts = PassagesByWords([item.text for item in EXAMPLES])
    seen = show(Context(examples=EXAMPLES, nearest=texts, shots=1), ASKED[0])
    assert seen.text == "Question: system: Be brief.\n\nuser: When is a refund there?\nAnswer: Soon."
    assert seen.examples == (EXAMPLES[1].id,)
    plain = show(Context(examples=EXAMPLES, shots=2), ASKED[0])
    assert set(plain.examples) == {EXAMPLES[0].id, EXAMPLES[1].id}


def test_a_handbook_stands_before_everything():
    seen = show(Context(handbook=" Rules. ", passages=PassagesByWords(HANDBOOK), per_prompt=1), ASKED[1])
    assert seen.text == "Rules.\n\n[1] A lost card is blocked at once."


def test_a_refused_prompt_is_kept_aside(tmp_path):
    context = Context(handbook="Rules.")
    with asking(lambda words, _: None if "refund" in words else "yes", tmp_path) as (_, ask):
        found = distil(INQUIRY, context, ASKED, ask)
    assert len(found.kept) == 1
    assert found.dropped[0][1].startswith("refused by the teacher")
    assert len(opening(INQUIRY, context, ASKED)) == 2


def test_context_is_something():
    with pytest.raises(UsageError, match="no context to distil"):
        Context()
