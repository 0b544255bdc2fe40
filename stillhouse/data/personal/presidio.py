"""Presidio as a second look: what its recognisers and a spaCy model of your choice find in a text, in our words.

It is as good as the model, knows the languages that spaCy has models of, and takes a hundred times as long as ours.
"""

from __future__ import annotations

import logging
from typing import Any, Final, final

from stillhouse.data.personal.span import Span, Type
from stillhouse.errors import UsageError
from stillhouse.extras import require, version

__all__ = ["Presidio"]

KINDS: Final = {
    "PERSON": Type.PERSON,
    "ORGANIZATION": Type.ORGANIZATION,
    "LOCATION": Type.LOCATION,
    "PHONE_NUMBER": Type.PHONE,
    "CREDIT_CARD": Type.CARD,
    "IBAN_CODE": Type.IBAN,
    "IP_ADDRESS": Type.IP,
    "MAC_ADDRESS": Type.MAC,
    "US_SSN": Type.NATIONAL_ID,
    "US_ITIN": Type.NATIONAL_ID,
    "US_PASSPORT": Type.PASSPORT,
    "US_DRIVER_LICENSE": Type.DRIVER_LICENSE,
    "UK_NHS": Type.NATIONAL_ID,
    "ES_NIF": Type.NATIONAL_ID,
    "ES_NIE": Type.NATIONAL_ID,
    "IT_FISCAL_CODE": Type.NATIONAL_ID,
    "IT_PASSPORT": Type.PASSPORT,
    "IT_IDENTITY_CARD": Type.NATIONAL_ID,
    "IT_DRIVER_LICENSE": Type.DRIVER_LICENSE,
    "PL_PESEL": Type.NATIONAL_ID,
    "FI_PERSONAL_IDENTITY_CODE": Type.NATIONAL_ID,
}
"""Presidio's kinds and ours; what is not here is no kind of ours, and is not asked for."""
NETWORKED: Final = ("EmailRecognizer", "UrlRecognizer")
"""They ask a server for a list of domains; both are known by their form without it."""


@final
class Presidio:
    """Finds personal data by Presidio and a spaCy model: a package's name (`en_core_web_lg`), or its folder."""

    def __init__(self, model: str) -> None:
        """Load the model; nothing is downloaded. Raises UsageError where there is none of that name."""
        require("presidio", "look for personal data with Presidio")
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine

        try:
            language: Any = spacy.load(model)
        except OSError as error:
            raise UsageError(
                f"There is no spaCy model {model!r} here. Install it with `python -m spacy download {model}`, or name "
                "a folder that holds one. spacy.io/models lists them by language."
            ) from error
        logging.getLogger("presidio-analyzer").setLevel(
            logging.ERROR
        )  # it tells of every language that is not asked for
        spoken = language.lang
        engine = SpacyNlpEngine()
        engine.nlp = {spoken: language}
        registry = RecognizerRegistry(supported_languages=[spoken])
        registry.load_predefined_recognizers(languages=[spoken], nlp_engine=engine)
        for name in NETWORKED:
            registry.remove_recognizer(name)
        self._engine = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[spoken])
        self._language: str = spoken
        self._kinds = sorted(KINDS.keys() & set(self._engine.get_supported_entities(spoken)))
        meta = language.meta
        self.name = f"presidio {version('presidio-analyzer')}, {spoken}_{meta['name']} {meta['version']}"
        """Whose word it is, as lineage keeps it."""

    def __call__(self, text: str) -> list[Span]:
        """What it finds, in no order; spans may overlap."""
        found = self._engine.analyze(text, language=self._language, entities=self._kinds)
        return [
            Span(each.start, each.end, KINDS[each.entity_type], each.score, f"presidio:{each.entity_type.lower()}")
            for each in found
        ]
