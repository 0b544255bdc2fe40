"""The loop learns, keeps its best, stops in time, and refuses what cannot be taught."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.export.onnx import export_onnx
from stillhouse.models.outputs import Layers
from stillhouse.objectives.feature import HiddenStates
from stillhouse.objectives.rationale import StepByStep
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.students.lora import Lora, lora
from stillhouse.tasks.rationale import RationaleTask
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online
from tests.training import sources, writers
from tests.training.pupils import (
    FAMILIES,
    ROWS,
    SCHEDULE,
    SIZE,
    Dying,
    Killed,
    lesson,
    pupil,
    score,
    source,
    task,
    watch,
)
from tests.training.sources import Made

LONG = Schedule(epochs=20, patience=99)
RATES = {"words": 3, "static": 3, "encoder": 20}


@pytest.mark.parametrize("soft", [True, False], ids=["soft", "words"])
@pytest.mark.parametrize("family", FAMILIES)
def test_students_learn(family, soft):
    student = pupil(family)
    before = score(student.eval())
    position = train(lesson(student, soft=soft), replace(LONG, rate=RATES[family]), watch())
    assert score(student) == position.best_score > max(0.8, before)
    assert not student.training


def scripted(scores: list[float], seen: list):
    """Scores as written, and a copy of the weights each time."""

    def measure(student):
        assert not student.training
        seen.append({name: value.clone() for name, value in student.state_dict().items()})
        return scores[len(seen) - 1]

    return measure


def test_the_best_weights_are_kept():
    student, seen = pupil("static"), []
    position = train(lesson(student), SCHEDULE, watch(score=scripted([0.1, 0.5, 0.9, 0.2, 0.9, 0.3], seen)))
    assert len(seen) == 6
    assert (position.best_score, position.best_step) == (0.9, 9), "the first of equals"
    assert all(torch.equal(value, seen[2][name]) for name, value in student.state_dict().items())


def test_the_best_may_be_a_poor_one():
    student, seen = pupil("words"), []
    position = train(lesson(student), SCHEDULE, watch(score=scripted([-3.0, -2.0, -5.0, -4.0, -6.0, -7.0], seen)))
    assert position.best_score == -2.0


def test_training_stops_when_nothing_gets_better():
    seen = []
    falling = scripted([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], seen)
    position = train(lesson(pupil("words")), replace(SCHEDULE, patience=2), watch(score=falling))
    assert (len(seen), position.step, position.finished) == (3, 9, True)


def test_training_stops_at_the_deadline():
    position = train(lesson(pupil("words")), SCHEDULE, watch(deadline=time.monotonic()))
    assert (position.step, position.finished) == (3, True), "at its first evaluation, so that there is a best"
    assert position.best_step == 3


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, again, asked = pupil("words"), pupil("words", seed=1), []
    options = {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 0}
    train(lesson(first), SCHEDULE, watch(**options))
    train(lesson(again), SCHEDULE, watch(score=asked.append, **options))
    assert asked == []
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())


def test_what_is_told_counts_up_to_the_end():
    heard = []
    train(lesson(pupil("words")), SCHEDULE, watch(tell=lambda *told: heard.append(told)))
    assert [done for done, _, _ in heard] == [5, 10, 15, 18]
    assert {total for _, total, _ in heard} == {18}
    assert all(note.startswith("loss ") for _, _, note in heard)


def test_no_best_is_told_before_there_is_one():
    heard = []
    tell = lambda done, total, note: heard.append(note)  # noqa: E731
    train(lesson(pupil("words")), replace(SCHEDULE, evaluations=2), watch(tell=tell))
    assert "best" not in heard[0]
    assert "best" in heard[-1]


def test_an_objective_that_asks_for_more_than_the_teacher_tells_is_refused():
    with pytest.raises(UsageError, match=r"needs soft, which this teacher does not tell \(it tells words\)"):
        Lesson(pupil("words"), task(), source(soft=False), ForwardKL() + CrossEntropy())


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(UsageError, match="nothing to learn from"):
        Lesson(pupil("words"), task(), Offline(task(), [], 8, 0), CrossEntropy())


def test_after_bf16_the_student_answers_in_float32_and_can_be_exported(tmp_path):
    student = pupil("encoder")
    plain = type(student).forward
    train(lesson(student), replace(SCHEDULE, epochs=1, precision="bf16"), watch())
    batch = task().batch(range(4))
    with torch.no_grad():
        inputs = batch.inputs["input_ids"], batch.inputs["attention_mask"]
        assert torch.equal(student(*inputs), plain(student, *inputs))
    assert {weight.dtype for weight in student.parameters()} == {torch.float32}
    export_onnx(student, tmp_path / "model.onnx")


def test_one_runs_number_format_is_not_the_next_ones():
    train(lesson(pupil("static")), replace(SCHEDULE, epochs=1, precision="bf16"), watch())
    after, alone = pupil("static"), pupil("static")
    for student in (after, alone):
        train(lesson(student), SCHEDULE, watch())
    assert all(torch.equal(value, alone.state_dict()[name]) for name, value in after.state_dict().items())


def test_frozen_weights_stay():
    student = pupil("encoder")
    student.freeze(1)
    before = {name: weight.clone() for name, weight in student.named_parameters() if not weight.requires_grad}
    train(lesson(student), SCHEDULE, watch())
    assert before
    assert all(torch.equal(dict(student.named_parameters())[name], weight) for name, weight in before.items())


@pytest.mark.parametrize("make", [pupil, lambda family: writers.writer()], ids=["encoder", "language model"])
def test_computing_activations_again_changes_nothing(make):
    def made() -> Made:
        given = sources.offline() if make is pupil else sources.language()
        objective = given.objective + 0.5 * HiddenStates({0: 0}) if make is not pupil else given.objective
        return replace(given, student=make("encoder"), objective=objective)

    whole, again = made(), made()
    for given, recompute in ((whole, False), (again, True)):
        torch.manual_seed(0)
        lesson = replace(given.lesson(), recompute=recompute)
        train(lesson, replace(SCHEDULE, epochs=1, evaluations=1), watch(score=given.score))
    for name, value in whole.student.state_dict().items():
        assert torch.allclose(value, again.student.state_dict()[name], atol=1e-6), name
    assert not any(getattr(part, "gradient_checkpointing", False) for part in again.student.modules())


def test_blocks_are_run_again_for_their_gradients():
    given, ran = sources.language(), []
    given.student.model.layers[0].self_attn.register_forward_hook(lambda *_: ran.append(1))
    lesson = replace(given.lesson(), recompute=True)
    train(lesson, Schedule(epochs=1, evaluations=1), watch(score=lambda student: 0.0))
    assert len(ran) == 2 * given.source.steps


def test_what_is_no_transformers_model_cannot_compute_again():
    with pytest.raises(UsageError, match="no Transformers model"):
        train(replace(lesson(pupil("words")), recompute=True), SCHEDULE, watch())


def test_adapters_learn_and_the_rest_stays(tmp_path):
    def adapted() -> Made:
        given = sources.language()
        torch.manual_seed(3)
        return replace(given, student=lora(given.student, Lora(rank=2)))

    made, resumed = adapted(), adapted()
    before = {name: value.clone() for name, value in made.student.state_dict().items()}
    options = {"score": made.score, "checkpoint": tmp_path / "point", "checkpoint_every": 0}
    train(made.lesson(), SCHEDULE, watch(score=made.score))
    with pytest.raises(Killed):
        train(adapted().lesson(Dying(adapted().source, 0)), SCHEDULE, watch(**options))
    dying = adapted()
    with pytest.raises(Killed):
        train(dying.lesson(Dying(dying.source, 5)), SCHEDULE, watch(**options))
    train(resumed.lesson(), SCHEDULE, watch(**options))
    changed = {name for name, value in made.student.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora" in name for name in changed)
    assert set(torch.load(tmp_path / "point", weights_only=True)["module"]) == {
        f"student.{name}" for name in before if "lora" in name
    }
    for name, value in made.student.state_dict().items():
        assert torch.equal(value, resumed.student.state_dict()[name])


def test_a_step_in_which_nothing_counts_changes_nothing():
    student = pupil("static")
    nothing = replace(task(), labels=np.full_like(task().labels, -1))
    before = {name: value.clone() for name, value in student.state_dict().items()}
    heard: list[dict] = []
    given = Lesson(student, nothing, Offline(nothing, range(ROWS), SIZE, 0), CrossEntropy())
    train(given, SCHEDULE, watch(log=lambda step, values: heard.append(dict(values)), log_every=1))
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in before.items()), "no decay either"
    assert {values["loss"] for values in heard} == {0.0}
    assert len(heard) == 18


def test_terms_through_one_head_are_each_divided_by_their_own_count():
    """A step whose micro-batches count other positions for each term, so that the terms' factors differ."""
    losses = {}
    for parts in (1, 3):
        made, seen = sources.together(), []
        log = lambda step, values, seen=seen: seen.append(values["loss"])  # noqa: E731
        train(made.lesson(), replace(SCHEDULE, accumulate=parts), watch(score=made.score, log=log, log_every=1))
        losses[parts] = seen
    assert losses[1] == pytest.approx(losses[3], abs=1e-6)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a sum"])
def test_a_term_that_counts_several_things_is_divided_by_each(alone):
    given = RationaleTask(writers.task(20), range(0, 21, 2))
    step = StepByStep(0.3)
    batch, student, heard = given.batch(range(10)), writers.writer(), []
    said = given.output(student, batch, Layers())
    answers, reasons = (
        float(
            -said.logits.detach().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0][labels >= 0].mean()
        )
        for labels in (batch.labels.masked_fill(batch.parts[:, None] != part, -1) for part in (0, 1))
    )
    made = Lesson(student, given, Offline(given, range(10), 10, 0), step if alone else 0.5 * step + 0.5 * step)
    log = lambda step, values: heard.append(values["loss"])  # noqa: E731
    train(made, Schedule(epochs=1), watch(score=writers.score, log=log, log_every=1))
    assert heard == [pytest.approx(0.3 * answers + 0.7 * reasons, rel=1e-5)]


def test_figures_tell_how_fast_it_goes():
    heard: list[dict] = []
    log = lambda step, values: heard.append(dict(values))  # noqa: E731
    train(lesson(pupil("encoder")), replace(SCHEDULE, epochs=1), watch(log=log, log_every=2))
    assert len(heard) == 3
    for values in heard:
        assert values["tokens_per_s"] > values["rows_per_s"] > 0
        assert {"loss", "rate", "kl_to_teacher", "top1_agreement", "student_entropy", "memory_mb"} <= values.keys()


def test_a_projector_is_made_and_learns():
    narrow, wide = writers.writer(), writers.writer(7, width=32)
    task_ = writers.task()
    given = Online(task_, Local(wide, task_), range(writers.ROWS), 6, 0)
    objective = HiddenStates({1: 1})
    losses: list[float] = []
    log = lambda step, values: losses.append(values["loss"])  # noqa: E731
    schedule = Schedule(epochs=10, rate=10, evaluations=1)
    train(Lesson(narrow, task_, given, objective), schedule, watch(score=writers.score, log=log, log_every=1))
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
