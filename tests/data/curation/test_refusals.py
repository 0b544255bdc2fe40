from __future__ import annotations

import pytest

from stillhouse.data.curation.refusals import Refusals, refusals
from stillhouse.data.items import Facts, Item, Kind
from stillhouse.errors import UsageError


def answered(words: str, **more: object) -> Item:
    return Item(Kind.CHAT, ({"role": "user", "content": "q"},), {"role": "assistant", "content": words, **more})


REFUSED = {
    "en": [
        "I'm sorry, but I can't assist with that request.",
        "I cannot provide information or guidance on illegal activities.",
        "As an AI language model, I do not have access to real-time data.",
        "“I’m sorry, I am not able to help with this.”",
        "I must respectfully decline.",
        "Unfortunately, I'm unable to create this image.",
    ],
    "de": ["Es tut mir leid, aber dabei kann ich nicht helfen.", "Leider kann ich Ihnen dazu keine Auskunft geben."],
    "fr": ["Je suis désolé, mais je ne peux pas répondre à cette demande.", "Je ne peux pas vous aider avec cela."],
    "es": ["Lo siento, pero no puedo ayudarte con eso.", "No puedo proporcionar esa información."],
    "it": ["Mi dispiace, ma non posso aiutarti con questa richiesta."],
    "pt": ["Desculpe, mas não posso ajudar com isso.", "Não consigo fornecer essa informação."],
    "nl": ["Het spijt me, maar daar kan ik je niet mee helpen.", "Sorry, ik kan die vraag niet beantwoorden."],
    "pl": ["Przepraszam, ale nie mogę w tym pomóc."],
    "ru": ["Извините, но я не могу помочь с этим.", "К сожалению, я не могу ответить на этот вопрос."],
    "zh": ["很抱歉,我不能提供这方面的帮助。", "对不起,我无法回答这个问题。"],
    "ja": ["申し訳ありませんが、そのご要望にはお応えできません。"],
    "ko": ["죄송하지만 그 요청은 도와드릴 수 없습니다."],
}
ANSWERED = [
    "I'm sorry to hear that your dog passed away. Here is what may help you.",
    "I can't wait to start the new job!",
    "Sorry for the delay: your parcel arrives on Monday.",
    "You cannot provide a second address. Choose one of them.",
    "Es tut mir leid, dass das Paket zu spät kam. Es ist jetzt unterwegs.",
    "Lo siento mucho. Su pedido llega mañana.",
    "The patient cannot help coughing; I would see a doctor.",
    "",
]


@pytest.mark.parametrize("code", REFUSED)
def test_refusals_are_known_by_how_they_open(code):
    found = refusals([answered(words) for words in REFUSED[code]], Refusals())
    assert [why for _, why in found.dropped] == [f"refusal: opens so in {code}"] * len(REFUSED[code])


def test_answers_are_no_refusals():
    assert list(refusals([answered(words) for words in ANSWERED], Refusals()).dropped) == []


def test_fields_say_it_too():
    filtered = Item(
        Kind.CHAT,
        answer={"role": "assistant", "content": ""},
        facts=Facts(metadata={"finish_reason": "content_filter"}),
    )
    rows = [answered("", refusal="No."), filtered, Item(Kind.TEXT)]
    assert [why for _, why in refusals(rows, Refusals()).dropped] == [
        "refusal: the field `refusal`", "refusal: ended by a content filter"
    ]  # fmt: skip


def test_who_goes_on_to_answer_or_calls_a_tool_did_not_refuse():
    hedged = "As an AI language model, I do not have opinions. " + "However, here is what is known. " * 30
    assert refusals([answered(hedged)], Refusals()).counts["kept"] == 1
    assert refusals([answered(hedged)], Refusals(longest=2_000)).counts["kept"] == 0
    assert refusals([answered("I cannot help.", tool_calls=[{"id": "1"}])], Refusals()).counts["kept"] == 1


def test_openings_of_ones_own():
    rows = [answered("Computer says no."), answered("computer says yes")]
    assert [why for _, why in refusals(rows, Refusals(phrases=("^computer says no",))).dropped] == [
        "refusal: opens so in your phrases"
    ]
    with pytest.raises(UsageError, match="no regular expression"):
        Refusals(phrases=("(",))
