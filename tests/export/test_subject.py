"""What an exporter is told of a student."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.export.subject import Kind, Logits, Subject, copy_files, refuse_kind
from stillhouse.students.words import WordsStudent
from tests.models import kinds, tiny


def subject(kind: Kind, module: torch.nn.Module, labels: tuple[tuple[str, ...], ...] = ()) -> Subject:
    return Subject(kind, module, "bert", Path("here"), labels, None, {})


def test_fields_are_counted():
    assert subject(Kind.CLASSIFIER, WordsStudent(9, 5), (("a", "b"), ("x", "y", "z"))).fields == (2, 3)
    assert subject(Kind.EMBEDDING, tiny.encoder()).fields == ()


def test_a_classifier_of_transformers_gives_logits_alone():
    model, ids = kinds.make("bert-classifier"), tiny.ids(2, 6)
    taken = subject(Kind.CLASSIFIER, Logits(model).eval(), (("no", "yes"),))
    assert taken.transformer is model
    with torch.no_grad():
        found = taken.module(ids, torch.ones_like(ids))
        assert torch.equal(found, model(input_ids=ids).logits)


def test_a_kind_that_is_not_taken_is_refused_with_those_that_are():
    refuse_kind(subject(Kind.IMAGE, tiny.encoder()), "c", Kind.CLASSIFIER, Kind.IMAGE)
    with pytest.raises(UsageError, match="here is of the kind embedding; c takes: classifier, image"):
        refuse_kind(subject(Kind.EMBEDDING, tiny.encoder()), "c", Kind.CLASSIFIER, Kind.IMAGE)


def test_files_that_runtimes_look_for_are_copied_where_they_lie(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "student").mkdir(parents=True)
    out.mkdir()
    for name in ("student/tokenizer.json", "student/chat_template.jinja", "student/weights", "config.json", "notes.md"):
        (source / name).write_text(name)
    bare = Subject(Kind.CLASSIFIER, torch.nn.Identity(), "bert", source, (), None, {})
    copy_files(bare, out, ("config.json", "modules.json"))
    assert {path.name for path in out.iterdir()} == {"config.json"}
    copy_files(replace(bare, tokenizer=source / "student" / "tokenizer.json"), out)
    assert {path.name for path in out.iterdir()} == {"config.json", "tokenizer.json", "chat_template.jinja"}
