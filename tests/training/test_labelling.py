"""One call keeps what a model says, and a student learns from it; signals of other rows are refused."""

from __future__ import annotations

import pytest
import torch

import stillhouse
from stillhouse.errors import SignalError, UsageError
from stillhouse.objectives import EmbeddingCosine, ForwardKL, HiddenStates
from stillhouse.signals.kinds import Kind
from stillhouse.training.labelling import label, read_as
from stillhouse.training.loop import Schedule
from stillhouse.training.one_call import train
from tests.models import tiny
from tests.tasks.talk import talker
from tests.training import writers
from tests.training.test_one_call import LABELS, TEXTS, classifier, reader, writer

FEW = Schedule(epochs=2, evaluations=2)


def test_a_student_learns_from_what_was_kept_as_beside_its_teacher(tmp_path):
    teacher = classifier(5).eval()
    kept = stillhouse.label(teacher, (TEXTS, LABELS), tmp_path, ["topk:2", "hidden:0,1"], reader())
    assert kept.tells == {Kind.SOFT, Kind.TOP, Kind.HIDDEN}
    objective = 0.7 * ForwardKL(2) + 0.3 * HiddenStates({0: 0, 1: 1})
    beside, alone = (
        train(classifier(1), (TEXTS, LABELS), who, objective, reader(), FEW).after for who in (teacher, kept)
    )
    assert alone["kl_to_teacher"] == pytest.approx(beside["kl_to_teacher"], rel=0.1)
    assert train(classifier(1), (TEXTS, LABELS), kept, None, reader(), FEW).steps > 0, "an objective by default"


def test_vectors_of_an_encoder_are_kept_by_default(tmp_path):
    kept = label(tiny.encoder("bert", 3), TEXTS, tmp_path, tokenizer=reader())
    assert kept.tells == {Kind.EMBEDDING}
    done = train(tiny.encoder("bert", 1), TEXTS, kept, EmbeddingCosine(), reader(), FEW)
    assert done.after["cosine"] > done.before["cosine"]


def test_a_language_model_is_kept_too(tmp_path):
    rows = [{"prompt": "where is", "completion": text} for text in ("my parcel", "my order", "the form")] * 4
    kept = label(writer(3), rows, tmp_path, "samples:20", talker())
    assert train(writer(1), rows, kept, ForwardKL(), talker(), FEW).after["top1_agreement"] >= 0


def test_it_is_asked_once(tmp_path, monkeypatch):
    teacher = classifier(5)
    label(teacher, TEXTS, tmp_path, tokenizer=reader())
    monkeypatch.setattr(type(teacher), "forward", lambda *given, **named: pytest.fail("it was asked again"))
    assert label(teacher, TEXTS, tmp_path, tokenizer=reader()).tells == {Kind.SOFT, Kind.TOP}


def test_signals_of_other_rows_models_or_forms_are_refused(tmp_path):
    teacher = classifier(5)
    kept = label(teacher, TEXTS, tmp_path, tokenizer=reader())
    with pytest.raises(UsageError, match="kept of other rows than these"):
        train(classifier(1), (TEXTS[::-1], LABELS), kept, None, reader(), FEW)
    with pytest.raises(SignalError, match=r"do not hold hidden\.1"):
        train(classifier(1), (TEXTS, LABELS), kept, HiddenStates({0: 1}), reader(), FEW)
    for other, texts in ((classifier(6), TEXTS), (teacher, TEXTS[:9])):
        with pytest.raises(SignalError, match="Label again"):
            label(other, texts, tmp_path, tokenizer=reader())
    with pytest.raises(UsageError, match=r"holds signals of these rows, but not topk:50, hidden:0"):
        label(teacher, TEXTS, tmp_path, ["topk:50", "hidden:0"], reader())
    with pytest.raises(UsageError, match="has no head for labels"):
        label(tiny.encoder("bert"), (TEXTS, LABELS), tmp_path / "other", tokenizer=reader())


def test_rows_read_otherwise_have_another_hash():
    task = writers.task()
    assert read_as(task, 20) == read_as(writers.task(), 20)
    assert len({read_as(task, 20), read_as(task, 19), read_as(writers.task(seed=1), 20)}) == 3
    assert torch.equal(task.batch([0]).rows, torch.tensor([0]))
