"""A mixture adds probabilities, a route asks each row's own teacher; what cannot be put together is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.teachers.ensemble import Ensemble, Routed
from stillhouse.teachers.local import Local
from tests.teachers.judges import batch, dense, local, task
from tests.training import pupils, writers


class Says:
    """A teacher that says the same of all rows."""

    def __init__(self, scores, told=None, tells=EVERY_SCORE, tokenizer=None) -> None:
        self.scores, self.told, self.tells, self.tokenizer = scores, told, frozenset(tells), tokenizer

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        return TeacherOutput(self.scores, self.told)


def test_language_models_are_mixed_before_their_heads_are_applied():
    mixed = Ensemble([local(7), local(8), local(9)], [1, 2, 5])
    told = mixed.observe(batch(), Layers())
    assert isinstance(told.scores, Mixture)
    assert all(isinstance(part, Projection) for part in told.scores.parts)
    expected = sum(share * dense(local(seed), batch()).exp() for share, seed in ((1 / 8, 7), (2 / 8, 8), (5 / 8, 9)))
    where = task().asked(batch())
    assert torch.allclose(dense(mixed, batch()).exp()[where], expected[where], atol=1e-6)


def test_dense_teachers_are_mixed_at_once():
    mixed = Ensemble([Local(pupils.pupil(family), pupils.task()) for family in ("words", "static")])
    told = mixed.observe(pupils.task().batch(range(4)), Layers())
    each = [Local(pupils.pupil(family), pupils.task()) for family in ("words", "static")]
    parts = [dense(teacher, pupils.task().batch(range(4))).exp() for teacher in each]
    assert isinstance(told.scores, torch.Tensor)
    assert torch.allclose(told.scores.exp(), (parts[0] + parts[1]) / 2, atol=1e-6)


def test_where_only_one_tells_its_word_counts_alone():
    one, two = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    tells = torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]])
    told = Ensemble([Says(one, tells[0]), Says(two, tells[1])]).observe(batch([0]), Layers())
    assert told.told.tolist() == [[True, True, False]]
    assert torch.allclose(told.scores[0, 0].exp(), (one[0, 0].softmax(-1) + two[0, 0].softmax(-1)) / 2, atol=1e-6)
    assert torch.allclose(told.scores[0, 1].exp(), one[0, 1].softmax(-1), atol=1e-6)


def test_an_ensemble_may_be_part_of_another():
    inner = Ensemble([local(7), local(8)])
    both = Ensemble([inner, local(9)], [2, 1])
    flat = Ensemble([local(7), local(8), local(9)])
    where = task().asked(batch())
    assert torch.allclose(dense(both, batch())[where], dense(flat, batch())[where], atol=1e-5)


def test_draws_are_put_together_with_their_weights():
    ids = torch.tensor([[[1, 2]]]), torch.tensor([[[2, 3]]])
    counts = torch.tensor([[[3, 1]]]), torch.tensor([[[1, 1]]])
    teachers = [Says(Sampled(*given), tells={Kind.SOFT}) for given in zip(ids, counts, strict=True)]
    told = Ensemble(teachers, [1, 3]).observe(batch([0]), Layers()).scores
    shares = torch.zeros(4).index_add(0, told.ids.flatten(), told.counts.flatten())
    assert torch.allclose(shares, torch.tensor([0, 0.25 * 0.75, 0.25 * 0.25 + 0.75 * 0.5, 0.75 * 0.5]))


def test_the_likeliest_of_several_are_refused():
    with pytest.raises(UsageError, match="mixture is not known"):
        Ensemble([Says(None, tells={Kind.SOFT, Kind.TOP}), local()])


def test_different_tokenizers_are_refused():
    one, two = Says(None, tokenizer="aa"), Says(None, tokenizer="bb")
    with pytest.raises(UsageError, match="different tokenizers"):
        Ensemble([one, two])
    with pytest.raises(UsageError, match="different tokenizers"):
        Routed({"a": one, "b": two}, ["a"])


def test_different_widths_are_refused_unless_the_tokenizer_is_said_to_be_one():
    narrow, wide = torch.randn(1, 1, 4), torch.randn(1, 1, 6)
    with pytest.raises(UsageError, match="score 4 and 6 labels"):
        Ensemble([Says(narrow), Says(wide)]).observe(batch([0]), Layers())
    known = Ensemble([Says(narrow, tokenizer="aa"), Says(wide, tokenizer="aa")])
    told = known.observe(batch([0]), Layers()).scores
    assert torch.allclose(told.exp(), (narrow.softmax(-1) + wide[..., :4].softmax(-1)) / 2, atol=1e-6)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 1], []])
def test_weights_must_fit(weights):
    with pytest.raises(UsageError, match="weight above 0 for each"):
        Ensemble([local(), local()], weights)


def test_several_have_no_common_inside():
    for several in (Ensemble([local()]), Routed({"a": local()}, ["a"] * 20)):
        with pytest.raises(UsageError, match="no common inside"):
            several.observe(batch(), Layers(frozenset({0})))


def test_they_tell_what_all_of_them_tell():
    assert Ensemble([Says(None, tells=EVERY_SCORE | {Kind.HIDDEN}), Says(None)]).tells == EVERY_SCORE
    with pytest.raises(UsageError, match="no soft answers"):
        Ensemble([Says(None, tells={Kind.WORDS})])


TAGS = ["a", "b", "b", "a", "b", "a"]


def test_each_row_is_answered_by_its_own_teacher():
    routed = Routed({"a": local(8), "b": local(9)}, TAGS)
    found, where = dense(routed, batch()), task().asked(batch())
    for row, tag in enumerate(TAGS):
        own = dense(local(8 if tag == "a" else 9), batch())
        assert torch.allclose(found[row][where[row]], own[row][where[row]], atol=1e-5)


def test_teachers_of_unlike_width_may_be_routed():
    small = Local(writers.writer(4, 16), task())
    found, where = dense(Routed({"a": small, "b": local(9)}, TAGS), batch()), task().asked(batch())
    assert torch.allclose(found[0][where[0]], dense(small, batch())[0][where[0]], atol=1e-5)
    assert torch.allclose(found[1][where[1]], dense(local(9), batch())[1][where[1]], atol=1e-5)


def test_a_teacher_is_asked_about_its_own_rows_only():
    asked: list[list[int]] = []

    class Counts:
        tells, tokenizer = EVERY_SCORE, None

        def observe(self, batch, layers):
            asked.append(batch.rows.tolist())
            return TeacherOutput(torch.zeros(len(batch.rows), 2, 3))

    Routed({"a": Counts(), "b": Counts()}, TAGS).observe(batch(), Layers())
    assert asked == [[0, 3, 5], [1, 2, 4]]


def test_the_likeliest_of_each_rows_own_teacher_come_at_one_width():
    few = TopK(torch.tensor([[[1]]]), torch.tensor([[[-0.1]]]), {2.0: torch.tensor([[0.5]])})
    more = TopK(torch.tensor([[[2, 3]]]), torch.tensor([[[-0.2, -3.0]]]), {2.0: torch.tensor([[0.7]])})
    both = {"a": Says(few, tells={Kind.SOFT, Kind.TOP}), "b": Says(more, tells={Kind.SOFT, Kind.TOP})}
    given = replace(batch([0, 1]), labels=torch.zeros(2, 1, dtype=torch.long))
    told = Routed(both, ["a", "b"]).observe(given, Layers()).scores
    assert told.ids.tolist() == [[[1, 0]], [[2, 3]]]
    assert told.log_probs[0, 0, 1] == -torch.inf
    assert told.shifts[2.0].tolist() == [[0.5], [pytest.approx(0.7)]]


def test_draws_of_each_rows_own_teacher_too():
    one = Sampled(torch.tensor([[[1]]]), torch.tensor([[[4]]]))
    two = Sampled(torch.tensor([[[2, 3]]]), torch.tensor([[[1, 3]]]))
    both = {"a": Says(one, tells={Kind.SOFT}), "b": Says(two, tells={Kind.SOFT})}
    told = Routed(both, ["b", "a"]).observe(batch([0, 1]), Layers()).scores
    assert told.counts.tolist() == [[[1, 3]], [[4, 0]]]


def test_a_tag_without_a_teacher_is_refused():
    with pytest.raises(UsageError, match="'c'"):
        Routed({"a": local()}, ["a", "c"])


def test_unlike_forms_cannot_stand_in_one_batch():
    one = Says(torch.zeros(1, 1, 4))
    two = Says(TopK(torch.tensor([[[1]]]), torch.tensor([[[-0.1]]])))
    with pytest.raises(UsageError, match="one form"):
        Routed({"a": one, "b": two}, ["a", "b"]).observe(batch([0, 1]), Layers())
    with pytest.raises(UsageError, match="cannot be mixed"):
        Ensemble([one, two]).observe(batch([0]), Layers())
