"""A small student of every family, untrained but with weights that matter."""

from __future__ import annotations

import torch
from torch import nn

from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.shrink import shrink
from stillhouse.students.static import StaticStudent, static_vectors
from stillhouse.students.student import Student
from stillhouse.students.words import WordsStudent
from tests.models import tiny

LABELS = 5
FAMILIES = ("words", "static", "encoder", "encoder-2", "roberta", "distilbert")


def student(family: str, seed: int = 0) -> Student:
    """A student in evaluation mode; all read ids below `tiny.TOKENS`."""
    made = _make(family, seed)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.count_nonzero() == 0:  # what starts at nothing would hide mistakes
                nn.init.normal_(weight, std=0.5)
    return made.eval()


def _make(family: str, seed: int) -> Student:
    torch.manual_seed(seed)
    if family == "words":
        return WordsStudent(tiny.TOKENS, LABELS)
    if family == "static":
        return StaticStudent(static_vectors(tiny.encoder(seed=seed), 16), LABELS)
    if family == "encoder-2":
        return EncoderStudent(shrink(tiny.encoder(seed=seed), 2), LABELS)
    return EncoderStudent(tiny.encoder("bert" if family == "encoder" else family, seed), LABELS)
