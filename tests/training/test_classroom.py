"""A classroom builds every rung, teaches it, and gives the same again in another process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stillhouse.models.devices import Hardware
from stillhouse.students.ladder import Rung
from stillhouse.training.classroom import Classroom
from stillhouse.training.lessons import Lessons, Part
from stillhouse.training.loop import Schedule, Watch
from tests.models import tiny

HARDWARE = Hardware("cpu", "no", 1, "a test")
RUNGS = (Rung("words"), Rung("static"), Rung("encoder", 2))
TEXTS = [
    f"{asked} {polite}" for asked in ("where is my parcel", "refund the money") for polite in ("now", "please", "")
]


def lessons() -> Lessons:
    """Texts whose first field asks what is wanted and whose second asks how kindly."""
    labels = np.array([[asked, polite] for asked in range(2) for polite in range(3)], dtype=np.int64)
    unknown = np.full_like(labels, -1)
    prompts = Part([*TEXTS, "where is the money"], np.concatenate([labels, unknown[:1]]), np.full((7, 2), -1))
    soft = {0: [np.array([0.7, 0.3], dtype=np.float32), np.array([0.5, 0.25, 0.25], dtype=np.float32)]}
    return Lessons(prompts, Part(TEXTS, labels, unknown), (2, 3), soft)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.save(tmp_path_factory.mktemp("encoder"), tiny.encoder("roberta"), tiny.wordpiece()))


@pytest.fixture(scope="module")
def room(folder):
    return Classroom(lessons(), folder, 0, HARDWARE)


def watch() -> Watch:
    return Watch(score=lambda student: 0.0, tell=lambda done, total, note: None)


def test_the_encoder_is_fitted_to_the_lessons(room):
    config = room.pretrained.encoder.config
    assert config.vocab_size < tiny.TOKENS
    assert config.max_position_embeddings < tiny.POSITIONS
    assert room.encoder_layers == tiny.BLOCKS


def test_small_students_of_many_lessons_do_without_rare_tokens(folder, room):
    assert len(room.common[1]) == room.pretrained.encoder.config.vocab_size
    texts = [*TEXTS * 900, "the parcel is late"]
    labels = np.zeros((len(texts), 2), dtype=np.int64)
    many = Classroom(Lessons(Part(texts, labels, labels), room.lessons.selection, (2, 3)), folder, 0, HARDWARE)
    assistant = many.assistant()
    student = many.rung(Rung("encoder", 2), assistant)
    assert student.student.encoder.config.vocab_size < assistant.student.encoder.config.vocab_size
    rare, common = (
        [taught.tokenizer.encode(text).tokens for taught in (assistant, student)] for text in (texts[-1], texts[0])
    )
    assert len(rare[1]) > len(rare[0])
    assert common[1] == common[0]


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_every_rung_reads_texts_and_answers_every_label(rung, room):
    taught = room.rung(rung, room.assistant())
    texts = [*TEXTS, "", "unheard of ☃ " * 50]
    logits = room.logits(taught, texts)
    assert logits.shape == (len(texts), 5)
    for row, text in enumerate(texts):
        assert np.allclose(room.logits(taught, [text])[0], logits[row], atol=1e-4)


@pytest.mark.parametrize("encoder", [True, False], ids=["with an encoder", "without"])
def test_another_process_builds_the_same(encoder, folder):
    first, second = (Classroom(lessons(), folder if encoder else None, 0, HARDWARE) for _ in range(2))
    for rung in RUNGS if encoder else RUNGS[:2]:
        one, other = (room.rung(rung, room.assistant() if encoder else None) for room in (first, second))
        assert one.featurizer == other.featurizer
        assert (one.tokenizer and one.tokenizer.to_str()) == (other.tokenizer and other.tokenizer.to_str())
        assert np.array_equal(first.logits(one, TEXTS), second.logits(other, TEXTS))


def test_a_tokenizer_learnt_from_lessons_does_not_depend_on_chance():
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghij"), random.integers(2, 9))) for _ in range(300)]
    texts = [" ".join(random.choice(words, 8)) for _ in range(100)]
    part = Part(texts, np.zeros((100, 1), dtype=np.int64), np.full((100, 1), -1))
    made = [Classroom(Lessons(part, part, (2,)), None, 0, HARDWARE).rung(Rung("static"), None) for _ in range(3)]
    assert len({taught.tokenizer.to_str() for taught in made}) == 1


def test_without_an_encoder_there_are_no_layers():
    assert Classroom(lessons(), None, 0, HARDWARE).encoder_layers == 0


@pytest.mark.parametrize("taught_before", [True, False], ids=["cut from the assistant", "from the pretrained"])
def test_what_is_frozen_stays_as_it_was_pretrained_in_every_encoder(taught_before, folder):
    room = Classroom(lessons(), folder, 0, HARDWARE, freeze=2)
    assistant = room.assistant() if taught_before else None
    taught = room.rung(Rung("encoder", 2), assistant)  # the first and the last of three blocks
    before = {name: weight.clone() for name, weight in taught.student.state_dict().items()}
    room.teach(taught, Schedule(epochs=2), watch(), np.zeros((len(room.pool), 5), dtype=np.float32))
    changed = {name for name, weight in taught.student.state_dict().items() if not weight.equal(before[name])}
    assert "head.weight" in changed
    assert any("layer.1." in name for name in changed)
    assert not any("layer.0." in name or "word_embeddings" in name for name in changed)
    static = room.rung(Rung("static"), None).student
    assert all(weight.requires_grad for weight in static.parameters())


@pytest.mark.parametrize("rung", RUNGS[:2], ids=lambda rung: rung.name)
def test_a_rung_learns_words_and_is_kept(rung, room, tmp_path):
    taught, part = room.rung(rung, None), room.lessons.selection
    room.teach(taught, Schedule(epochs=60, patience=99), replace(watch(), score=lambda _: room.score(taught, part)))
    assert room.score(taught, part) == 1
    room.save(taught, tmp_path)
    again = room.restore(room.rung(rung, None), tmp_path)
    assert np.array_equal(room.logits(again, TEXTS), room.logits(taught, TEXTS))


def test_a_rung_learns_from_a_teachers_logits_even_where_no_answer_is(room):
    taught, seen = room.rung(RUNGS[0], None), room.pool.texts
    teacher = np.tile(np.array([4, -4, 0, 4, 0], dtype=np.float32), (len(seen), 1))
    room.teach(taught, Schedule(epochs=40), watch(), teacher)
    assert (room.logits(taught, seen)[:, :2].argmax(1) == 0).all()
    assert (room.logits(taught, seen)[:, 2:].argmax(1) == 1).all()


def test_what_the_teacher_told_itself_is_mixed_in_half_and_half(room):
    assistant = room.assistant()
    own, mixed = room.logits(assistant, room.pool.texts), room.teacher_logits(assistant)
    shares = [torch.softmax(torch.from_numpy(logits[0, :2]), 0).numpy() for logits in (own, mixed)]
    assert shares[1] == pytest.approx(0.5 * shares[0] + 0.5 * np.array([0.7, 0.3]), abs=1e-4)
    assert np.array_equal(own[1:], mixed[1:])


def test_no_rows_score_nothing(room):
    nobody = Part([], np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2), dtype=np.int64))
    assert room.score(room.rung(RUNGS[0], None), nobody) == 0.0
