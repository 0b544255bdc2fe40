"""The metric that was asked for decides, against the threshold that was set."""

from __future__ import annotations

import pytest

from stillhouse.errors import TeacherUnavailable
from stillhouse.evaluation.graders.text_metrics import METRICS, rouge_l
from stillhouse.evaluation.graders.text_similarity import LONG, TextSimilarityGrader, cosine
from stillhouse.wire.graders import TextSimilarity


def grader(metric: str, threshold: float = 0.5, embed=None) -> TextSimilarityGrader:
    return TextSimilarityGrader(TextSimilarity("g", "{{item.a}}", "{{item.b}}", metric, threshold), embed)


async def letters(texts):
    """As an embedder: how often each letter is there."""
    return [[float(text.count(letter)) for letter in "abc"] for text in texts]


@pytest.mark.parametrize("metric", sorted(METRICS))
async def test_every_metric_grades(metric):
    grade = await grader(metric)({"a": "the cat sat on the mat", "b": "the cat is on the mat"}, None)
    assert grade.score == METRICS[metric]("the cat sat on the mat", "the cat is on the mat")


async def test_the_threshold_itself_passes():
    item = {"a": "police killed the gunman", "b": "police kill the gunman"}
    passed = [(await grader("rouge_l", threshold)(item, None)).passed for threshold in (0.74, 0.75, 0.76)]
    assert passed == [True, True, False]


async def test_cosine_asks_the_embedder():
    grade = await grader("cosine", 0.6, letters)({"a": "aab", "b": "ab"}, None)
    assert grade.score == pytest.approx(3 / (5**0.5 * 2**0.5))
    assert grade.passed
    assert (await grader("cosine", embed=letters)({"a": "aa", "b": ""}, None)).score == 0.0


def test_cosine_is_never_negative():
    assert cosine([1.0, 0.0], [-1.0, 0.0]) == 0.0
    assert cosine([3.0, 4.0], [3.0, 4.0]) == 1.0


async def test_without_an_embedder_or_its_answer_cosine_cannot_tell():
    async def away(texts):
        raise TeacherUnavailable("the embedder is away")

    item = {"a": "a", "b": "a"}
    for embed, told in ((None, "needs an embedder"), (away, "is away")):
        grade = await grader("cosine", embed=embed)(item, None)
        assert grade.errored
        assert told in (grade.reason or "")


async def test_a_missing_place_cannot_tell():
    assert (await grader("bleu")({"a": "x"}, None)).faults[0].kind == "invalid_variable_error"


async def test_long_texts_get_the_same_value():
    text, reference = "one two three " * LONG, "three two one " * 100
    assert (await grader("rouge_l")({"a": text, "b": reference}, None)).score == rouge_l(text, reference)
