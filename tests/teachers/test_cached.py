"""What was kept of a teacher is what it would say, found by sample, whatever batch it stands in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.errors import SignalError
from stillhouse.models.outputs import Layers
from stillhouse.objectives.response import ForwardKL
from stillhouse.signals.keep import EMBEDDING, hidden_name
from stillhouse.signals.kinds import Kind
from stillhouse.signals.shards import ShardReader
from stillhouse.teachers.cached import Cached
from tests.teachers.judges import SAMPLES, TOP, batch, dense, drawn_codec, keep, local, task, top_codec
from tests.training import writers


@pytest.fixture(scope="module")
def top(tmp_path_factory) -> ShardReader:
    return keep(tmp_path_factory.mktemp("top"), top_codec(), inside=True)


def test_it_tells_what_was_kept(top, tmp_path):
    assert Cached(top, SAMPLES).tells == {Kind.SOFT, Kind.TOP, Kind.HIDDEN, Kind.EMBEDDING}
    assert Cached(keep(tmp_path, drawn_codec()), SAMPLES).tells == {Kind.SOFT}
    assert Cached(top, SAMPLES).tokenizer == "tiny"


def test_log_probs_are_those_of_the_teacher_but_for_rounding(top):
    given = batch(range(5))
    told, where = Cached(top, SAMPLES).observe(given, Layers()), task().asked(given)
    own = dense(local(), given).gather(-1, told.scores.ids)
    assert told.scores.ids.shape[-1] == TOP
    assert (told.scores.log_probs - own)[where].abs().max() < 0.15
    assert told.scores.ids.dtype == torch.int64


@pytest.mark.parametrize("temperature", [1, 2])
def test_a_student_learns_nearly_the_same_from_it(top, temperature):
    given, student = batch(range(8)), writers.writer()
    said = task().output(student, given, Layers())
    kept = ForwardKL(temperature)(said, Cached(top, SAMPLES).observe(given, Layers()), given)
    live = ForwardKL(temperature)(said, local().observe(given, Layers()), given)
    assert torch.equal(kept.count, live.count)
    assert 0.6 * live.total < kept.total < 1.05 * live.total, "the rest is one bin, so it can only be less"


def test_rows_are_found_by_their_samples(top):
    back = list(reversed(SAMPLES))
    given = batch(range(6))
    own = Cached(top, SAMPLES).observe(given, Layers())
    other = Cached(top, back).observe(replace(given, rows=len(SAMPLES) - 1 - given.rows), Layers())
    assert torch.equal(own.scores.log_probs, other.scores.log_probs)


def test_a_padded_batch_is_told_nothing_more(top):
    given = batch([0])
    longer = torch.nn.functional.pad(given.labels, (0, 5), value=-1)
    told = Cached(top, SAMPLES).observe(replace(given, labels=longer), Layers())
    assert told.told.shape == longer.shape
    assert not told.told[:, -5:].any()
    assert torch.equal(told.told, longer >= 0)


def test_samples_that_were_cut_otherwise_are_refused(top):
    given = batch([0])
    with pytest.raises(SignalError, match="Label again with the settings of this run"):
        Cached(top, SAMPLES).observe(replace(given, labels=given.labels[:, :2]), Layers())


def test_a_sample_nobody_labelled_is_named(top):
    with pytest.raises(SignalError, match="'nobody'"):
        Cached(top, ["nobody"]).observe(batch([0]), Layers())


def test_hidden_states_and_vectors_come_where_they_were_kept(top):
    given = batch(range(3))
    layers = Layers(frozenset({1}), embedding=True)
    told, own = Cached(top, SAMPLES).observe(given, layers), local().observe(given, layers)
    there = given.inputs["attention_mask"].bool()
    assert told.features.hidden[1].shape == own.features.hidden[1].shape
    assert torch.allclose(told.features.hidden[1][there], own.features.hidden[1][there], atol=2e-2)
    assert torch.allclose(told.features.embedding, own.features.embedding, atol=2e-2)


def test_what_was_not_kept_is_refused(top, tmp_path):
    bare = Cached(keep(tmp_path, drawn_codec()), SAMPLES)
    with pytest.raises(SignalError, match=hidden_name(0)):
        bare.observe(batch([0]), Layers(frozenset({0})))
    with pytest.raises(SignalError, match=EMBEDDING):
        bare.observe(batch([0]), Layers(embedding=True))
    with pytest.raises(SignalError, match="Attention is not kept"):
        Cached(top, SAMPLES).observe(batch([0]), Layers(attention=frozenset({0})))
