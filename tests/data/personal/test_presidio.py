"""Presidio beside our own look: what a spaCy model knows is found too, and nothing is asked of the network."""

from __future__ import annotations

import pytest
import spacy

from stillhouse.data.personal.presidio import Presidio
from stillhouse.data.personal.span import Type
from stillhouse.data.pii import CERTAIN, find
from stillhouse.data.redact import Redactor
from stillhouse.errors import UsageError

NAME = "zyxqua from the lake"
"""Somebody whom nobody but the model knows."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A spaCy model of each language, which knows one name."""
    folder = tmp_path_factory.mktemp("spacy")
    for language in ("en", "de"):
        model = spacy.blank(language)
        model.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": NAME}])
        model.to_disk(folder / language)
    return folder


def pieces(text, spans):
    return [(span.type, text[span.start : span.end]) for span in spans]


@pytest.mark.parametrize("language", ["en", "de"])
def test_what_the_model_knows_is_found_too(models, language):
    text = f"ann@example.org wrote to {NAME} from 10.1.2.3."
    presidio = Presidio(str(models / language))
    assert pieces(text, find(text)) == [(Type.EMAIL, "ann@example.org"), (Type.IP, "10.1.2.3")]
    assert pieces(text, find(text, second=presidio)) == [
        (Type.EMAIL, "ann@example.org"), (Type.PERSON, NAME), (Type.IP, "10.1.2.3")
    ]  # fmt: skip
    assert find(text, CERTAIN - {Type.PERSON}, second=presidio) == find(text, CERTAIN - {Type.PERSON})
    assert presidio.name.startswith("presidio 2.")
    assert language in presidio.name


def test_placeholders_and_json_are_left_whole(models):
    redactor = Redactor(second=Presidio(str(models / "en")))
    assert redactor.text(f"by {NAME}, [PERSON#{'x' * 8}]") == f"by [PERSON], [PERSON#{'x' * 8}]"
    assert redactor.text(f'{{"from": "{NAME}", "count": 3}}') == '{"from": "[PERSON]", "count": 3}'
    assert redactor.counts == {"person": 2}


def test_what_presidio_knows_by_form_is_told_in_our_words(models):
    found = Presidio(str(models / "en"))("Card 4111 1111 1111 1111, IBAN GB33BUKB20201555555555.")
    assert {span.type for span in found if span.score >= 0.5} == {Type.CARD, Type.IBAN}


def test_a_model_that_is_not_here_is_told_and_not_fetched():
    with pytest.raises(UsageError, match="python -m spacy download no_such_model"):
        Presidio("no_such_model")
