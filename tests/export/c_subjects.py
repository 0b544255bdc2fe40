"""Text students of random weights, opened as bundles are, without the graphs that serving needs."""

from __future__ import annotations

from pathlib import Path

import torch

from stillhouse.bundle.answer import AnswerForm
from stillhouse.bundle.manifest import Featurizer, Manifest
from stillhouse.bundle.prompt import PromptForm
from stillhouse.export.subject import Kind, Subject
from stillhouse.students.static import StaticStudent
from stillhouse.students.words import WordsStudent
from tests.models import tiny

BUCKETS, TOKENS = 997, 24


def text_subject(folder: Path, family: str, form: AnswerForm) -> Subject:
    """A `words` or `static` subject; its tokenizer lies in `folder`/student, as in a bundle."""
    torch.manual_seed(3)
    (folder / "student").mkdir(parents=True)
    labels = sum(len(field.labels) for field in form.fields)
    tokenizer = None
    if family == "words":
        student, featurizer = WordsStudent(BUCKETS, labels), Featurizer("ngrams", TOKENS * 8, BUCKETS)
        torch.nn.init.normal_(student.table.weight)
    else:
        student, featurizer = StaticStudent(torch.randn(tiny.TOKENS, 32), labels), Featurizer("tokenizer", TOKENS)
        torch.nn.init.normal_(student.head.weight)
        tokenizer = folder / "student" / "tokenizer.json"
        tiny.wordpiece().save(str(tokenizer))
    manifest = Manifest(
        name=f"desk {family}",
        student=family,
        teacher="gpt-4.1",
        prompt=PromptForm(),
        answer=form,
        featurizer=featurizer,
        temperatures=tuple(0.8 + 0.3 * at for at in range(len(form.fields))),
        threshold=0.5,
        files={},
    )
    names = tuple(tuple(field.show(at) for at in range(len(field.labels))) for field in form.fields)
    return Subject(Kind.CLASSIFIER, student.eval(), family, folder, names, tokenizer, {}, manifest)
