"""Rows are sampled, graded and counted as they come, and what goes wrong with one is told in it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import TeacherUnavailable
from stillhouse.evaluation.graders.build import Means, build_grader
from stillhouse.evaluation.graders.grader import Grade, errored
from stillhouse.evaluation.run import Graded, Tally, grade_row, grade_rows, ran, results, sample_shown, with_defaults
from stillhouse.wire.data_sources import Asking, Row
from stillhouse.wire.evals import Counts, Criterion, Progress
from stillhouse.wire.fields import Fields
from stillhouse.wire.graders import read_grader
from stillhouse.wire.prompts import read_prompt
from stillhouse.wire.samples import Sampling, Tokens, sample_of_text
from tests.evaluation.graders.judges import Judge, verdict

CHECK = read_grader(
    {
        "type": "string_check",
        "name": "same",
        "input": "{{sample.output_text}}",
        "reference": "{{item.a}}",
        "operation": "eq",
    },
    "",
    "eval",
)
SCORE = read_grader(
    {
        "type": "score_model",
        "name": "judged",
        "model": "judge",
        "sampling_params": {"seed": 5},
        "input": [{"role": "user", "content": "{{sample.output_text}}?"}],
    },
    "",
    "eval",
)
CRITERIA = (Criterion("same-1", CHECK), Criterion("judged-1", SCORE))
PROMPT = read_prompt(Fields({"template": [{"role": "user", "content": "{{item.q}}"}]}), "template")
ASKING = Asking("m", PROMPT, Sampling(max_tokens=9))


def graders(judge: Judge):
    return {one.id: build_grader(one.grader, Means(judge)) for one in CRITERIA}


async def away(call):
    raise TeacherUnavailable("no connection")


async def test_a_row_with_a_sample_is_only_graded():
    judge = Judge(verdict(0.75))
    graded = await grade_row(Row({"a": "x"}, sample_of_text("x")), None, graders(judge), away)
    assert (graded.status, graded.sampled, graded.error) == ("pass", False, None)
    assert {key: grade.score for key, grade in graded.grades.items()} == {"same-1": 1.0, "judged-1": 0.75}
    same, judged = results(graded, CRITERIA)
    assert (same.criterion, same.kind, same.score, same.passed, same.sample) == (
        "same-1",
        "string_check",
        1.0,
        True,
        None,
    )
    assert judged.sample is not None
    assert (judged.sample["seed"], judged.sample["model"]) == (5, "judge-2026")
    assert judged.sample["output"][0]["content"] == verdict(0.75)


async def test_a_row_is_sampled_with_the_defaults_of_runs():
    model = Judge("x")
    graded = await grade_row(Row({"q": "what?", "a": "x"}), ASKING, graders(Judge(verdict(1))), model)
    assert model.calls == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "what?"}],
            "temperature": 1.0,
            "top_p": 1.0,
            "seed": 42,
            "max_completion_tokens": 9,
        }
    ]
    shown = sample_shown(graded)
    assert (graded.status, shown["output"][0]["content"], shown["model"], shown["error"]) == (
        "pass",
        "x",
        "m-2026",
        None,
    )
    assert (shown["seed"], shown["temperature"], shown["max_completions_tokens"]) == (42, 1.0, 9)


async def test_a_conversation_in_the_item_is_asked_as_it_lies_there():
    model = Judge("x")
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "{{item.a}}"}]
    await grade_row(Row({"input": messages, "a": "x"}), Asking("m", "item.input", Sampling()), {}, model)
    assert model.calls[0]["messages"] == messages


def test_what_was_given_is_kept_of_the_sampling():
    assert with_defaults(Sampling(temperature=0.0, seed=0)) == Sampling(0.0, 1.0, 0)


@pytest.mark.parametrize(
    ("row", "chat", "told"),
    [
        (Row({"a": "x"}), Judge("x"), "There is no 'item.q'"),
        (Row({"q": "?", "a": "x"}), away, "no connection"),
    ],
)
async def test_a_row_that_cannot_be_sampled_is_errored_and_not_graded(row, chat, told):
    judge = Judge(verdict(1))
    graded = await grade_row(row, ASKING, graders(judge), chat)
    assert (graded.status, graded.grades, judge.calls) == ("error", {}, [])
    assert told in sample_shown(graded)["error"]["message"]
    assert sample_shown(graded)["output"] == []
    assert results(graded, CRITERIA) == ()


async def test_an_old_sample_is_never_graded_in_place_of_a_new_one_that_failed():
    row = Row({"q": "?", "a": "old"}, sample_of_text("old"))
    graded = await grade_row(row, ASKING, graders(Judge(verdict(1))), away)
    assert (graded.status, graded.row.sample) == ("error", None)


async def test_a_grader_that_cannot_tell_makes_the_row_an_error_and_others_stand():
    graded = await grade_row(Row({"a": "x"}, sample_of_text("x")), None, graders(Judge("no verdict")), away)
    assert graded.status == "error"
    assert [(one.score, one.passed) for one in results(graded, CRITERIA)] == [(1.0, True), (None, False)]
    assert sample_shown(graded)["error"]["code"] == "grader_error"


async def test_a_row_without_a_sample_is_graded_on_its_item():
    only_item = read_grader(
        {"type": "string_check", "name": "g", "input": "{{item.a}}", "reference": "x", "operation": "eq"}, "", "eval"
    )
    graded = await grade_row(Row({"a": "x"}), None, {"g-1": build_grader(only_item, Means(away))}, away)
    assert graded.status == "pass"


async def test_counts_and_tokens_add_up():
    tally, judge = Tally(), Judge(verdict(0.75))
    rows = [Row({"q": "?", "a": answer}) for answer in ("x", "y", "x")]
    for number, row in enumerate(rows):
        assert tally.add(number, await grade_row(row, ASKING, graders(judge), Judge("x")))
    assert tally.add(3, await grade_row(rows[0], ASKING, graders(judge), away))
    assert not tally.add(0, Graded(rows[0], {}))
    assert tally.counts == Counts(passed=2, failed=1, errored=1)
    assert tally.counts.total == 4
    assert tally.criteria == {"same-1": Counts(2, 1), "judged-1": Counts(3)}
    assert tally.usage == {"m-2026": (3, Tokens(21, 9, 6)), "judge-2026": (3, Tokens(21, 9, 6))}


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["pass", "fail", "error"])), max_size=30))
def test_every_row_counts_once_whatever_comes_twice(rows):
    grades = {"pass": Grade(1.0, True), "fail": Grade(0.0, False), "error": errored("other_error", "x")}
    tally = Tally()
    first: dict[int, str] = {}
    for number, status in rows:
        first.setdefault(number, status)
        tally.add(number, Graded(Row({}), {"c": grades[status]}))
    told = [list(first.values()).count(status) for status in ("pass", "fail", "error")]
    assert [tally.counts.passed, tally.counts.failed, tally.counts.errored] == told
    assert tally.counts.total == len(first)
    assert tally.criteria.get("c", Counts()) == tally.counts


async def test_what_the_graders_api_tells():
    grade = await build_grader(SCORE, Means(Judge(verdict(0.25))))({}, sample_of_text("x").variables)
    told = ran(grade, 0.5)
    assert (told.reward, told.faults, told.seconds, told.tokens) == (0.25, {}, 0.5, {"judge": Tokens(7, 3, 2)})
    failed = ran(errored("python_grader_runtime_error", "ZeroDivisionError"), 0.1)
    assert (failed.reward, failed.faults) == (0.0, {"python_grader_runtime_error": "ZeroDivisionError"})
    parts = ran(replace(Grade(2.0, None), parts={"a": Grade(2.0, None), "b": errored("other_error", "x")}), 0.1)
    assert parts.scores == {"a": 2.0}


async def test_rows_are_graded_within_a_limit_and_read_as_they_are_needed():
    working, most, read = 0, 0, []

    async def slow(call):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.01)
        working -= 1
        return await Judge("x")(call)

    async def rows():
        for number in range(10):
            read.append(number)
            yield number, Row({"q": "?", "a": "x"})

    seen: list[int] = []
    async for number, graded in grade_rows(rows(), ASKING, {}, slow, 3):
        assert len(read) <= len(seen) + 4
        assert graded.sampled
        seen.append(number)
    assert (sorted(seen), most) == (list(range(10)), 3)


async def test_rows_in_work_are_given_up_with_the_run():
    given_up = 0

    async def stuck(call):
        nonlocal given_up
        if b"first" in call.body:
            return await Judge("x")(call)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up += 1
            raise

    async def rows():
        for number, question in enumerate(("first", "second", "third")):
            yield number, Row({"q": question})

    async with contextlib.aclosing(grade_rows(rows(), ASKING, {}, stuck, 3)) as running:
        number, _ = await anext(running)
    assert (number, given_up) == (0, 2)


async def test_a_tally_goes_on_where_it_was():
    first = Tally()
    first.add(0, Graded(Row({}), {"c": Grade(1.0, True)}))
    second = Tally(first.counts, dict(first.criteria), dict(first.usage), set(first.done))
    second.add(0, Graded(Row({}), {"c": Grade(1.0, True)}))
    second.add(1, Graded(Row({}), {"c": Grade(0.0, False)}))
    assert second.progress("completed") == Progress("completed", Counts(1, 1), {"c": Counts(1, 1)}, {})
