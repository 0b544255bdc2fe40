"""What a teacher is kept of: its scores, states and vectors by sample, asked once, and only what it tells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillhouse.errors import SignalError, UsageError
from stillhouse.models.outputs import Layers
from stillhouse.objectives.feature import EmbeddingCosine, HiddenStates
from stillhouse.objectives.response import ForwardKL
from stillhouse.signals.codec import NoScores, SampledCodec, TopKCodec
from stillhouse.signals.keep import Keep
from stillhouse.signals.kinds import Kind
from stillhouse.signals.shards import Origin
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local
from stillhouse.training.keeping import Asking, codec_for, keep_signals
from stillhouse.training.loop import Lesson
from stillhouse.training.online import Online
from tests.training import writers

ORIGIN = Origin("rows", "writer", "tiny")
SAMPLES = [str(row) for row in range(writers.ROWS)]


def asking(tells=ANSWERS_AND_INSIDE | {Kind.EMBEDDING}, size=4):
    task = writers.task()
    return Asking(Local(writers.writer(9), task, tells), task, SAMPLES, size)


def test_a_student_learns_from_it_what_it_learns_from_the_teacher(tmp_path):
    reader = keep_signals(tmp_path, ORIGIN, Keep.of(["topk:999", "hidden:0,1", "embedding"]), asking())
    cached, own = Cached(reader, SAMPLES), asking()
    objective = 0.5 * ForwardKL() + 0.3 * HiddenStates({0: 0, 1: 1}) + 0.2 * EmbeddingCosine()
    batch, student = own.task.batch([5, 2, 0]), writers.writer()
    said = own.task.output(student, batch, objective.taps.student)
    kept, live = (
        objective(said, teacher.observe(batch, objective.taps.teacher), batch) for teacher in (cached, own.teacher)
    )
    assert torch.equal(kept.count, live.count)
    torch.testing.assert_close(kept.total[1:], live.total[1:], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(kept.total[0], live.total[0], rtol=0.05, atol=1e-3)


def test_states_alone_make_no_scores(tmp_path):
    reader = keep_signals(tmp_path, ORIGIN, Keep.of("hidden:1"), asking())
    cached = Cached(reader, SAMPLES)
    assert (reader.widths, cached.tells) == ({"hidden.1": 16}, {Kind.HIDDEN})
    told = cached.observe(writers.task().batch([1, 3]), Layers(hidden=frozenset({1})))
    assert (told.scores, told.told) == (None, None)
    source = Online(writers.task(), cached, range(4), 2, 0)
    Lesson(writers.writer(), writers.task(), source, HiddenStates({0: 1}))
    with pytest.raises(UsageError, match="needs soft, which this teacher does not tell"):
        Lesson(writers.writer(), writers.task(), source, ForwardKL())


def test_what_is_finished_is_opened_and_what_is_not_goes_on(tmp_path):
    asked, told = asking(), []

    def stop(done, total):
        told.append((done, total))
        if done == 8:
            raise KeyboardInterrupt

    keep = Keep.of(["samples:9", "hidden:0"])
    with pytest.raises(KeyboardInterrupt):
        keep_signals(tmp_path / "cut", ORIGIN, keep, asked, stop)
    cut = keep_signals(tmp_path / "cut", ORIGIN, keep, asked, lambda *given: told.append(given))
    assert told == [(done, writers.ROWS) for done in range(4, writers.ROWS + 4, 4)]
    whole = keep_signals(tmp_path / "whole", ORIGIN, keep, asking(size=4))
    reads = [reader.read(SAMPLES, ["hidden.0"]) for reader in (cut, whole)]
    assert np.array_equal(reads[0].signal.ids, reads[1].signal.ids)
    assert np.array_equal(reads[0].extras["hidden.0"], reads[1].extras["hidden.0"])
    told.clear()
    keep_signals(tmp_path / "cut", ORIGIN, keep, asked, lambda *given: told.append(given))
    assert told == []
    with pytest.raises(SignalError, match="of dataset rows, not of other"):
        keep_signals(tmp_path / "cut", Origin("other", "writer", "tiny"), keep, asked)


def test_a_teacher_is_not_asked_for_what_it_does_not_tell(tmp_path):
    with pytest.raises(UsageError, match=r"does not tell embedding, which keep = topk:5, embedding wants"):
        keep_signals(tmp_path, ORIGIN, Keep.of(["topk:5", "embedding"]), asking(ANSWERS_AND_INSIDE))
    assert not list(tmp_path.iterdir())


def test_scores_are_written_as_wide_as_the_task(tmp_path):
    task = writers.task()
    assert codec_for(Keep.of("topk:3"), task) == TopKCodec(task.vocabulary, 3)
    assert codec_for(Keep.of("topk:99999"), task).most == task.vocabulary
    assert codec_for(Keep.of("samples:3"), task) == SampledCodec(task.vocabulary, 3)
    assert codec_for(Keep.of("embedding"), task) == NoScores()
