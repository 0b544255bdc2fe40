"""What the verbs that ask in rounds share: budgets hold over all rounds, judges are asked apart, and all is kept."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.cli.generate_desk import Wish
from stillhouse.cli.generate_rounds import Task, described, judge_wish, judging_request, request_of, summary
from tests.cli.generating import called, contents, with_dataset
from tests.cli.methods import PRICES, chat, teacher


def test_a_budget_ends_the_work_and_more_of_it_goes_on(capsys, tmp_path):
    with_dataset(tmp_path, "asked", [chat(f"Question {number}") for number in range(8)])
    with teacher(tmp_path) as (scripted, who):
        verb = ("answers", "asked", *who, *PRICES, "--max-tokens", "5", "--at-once", "1", "--out", "told")
        code, told, _ = called(capsys, tmp_path, *verb, "--budget", "0.0006")
        assert code == 1
        assert "have no answer" in told["error"]["message"]
        paid = len(scripted.asked)
        assert 0 < paid < 8
        code, told, _ = called(capsys, tmp_path, *verb, "--budget", "0.0006", "--partial")
        assert (code, told["items"], told["dropped"]) == (0, paid, 8 - paid)
        assert told["asking"]["spent"] <= 0.0006
        code, told, _ = called(capsys, tmp_path, *verb, "--budget", "1")
        assert (code, told["reference"], told["items"], len(scripted.asked)) == (0, "told@2", 8, 8)


def test_a_judge_of_its_own_is_asked_and_named(capsys, tmp_path):
    with_dataset(tmp_path, "asked", [chat("Question")])
    with teacher(tmp_path) as (_, who), teacher(tmp_path) as (judging, judge):
        verb = ("answers", "asked", *who, "--samples", "3", "--keep", "best", "--temperature", "1", "--out", "best")
        code, told, _ = called(capsys, tmp_path, *verb, "--judge", judge[1], "--judge-model", "j")
        assert code == 0
        assert {call["model"] for call in judging.asked} == {"j"}
        assert told["judging"]["asked"] == len(judging.asked)
    step = contents(tmp_path, "best@1")[0].step
    assert (step.settings["judge"], step.settings["judge_model"], step.settings["model"]) == ("j", "j", "m")


def test_without_a_judge_the_teacher_judges():
    wish = Wish(teacher="one", model="m", budget=3.0)
    assert judge_wish(wish, None, None) is None
    assert judge_wish(wish, None, "other") == Wish(teacher="one", model="other", budget=3.0)
    assert judge_wish(wish, "two", "other").teacher == "two"


def test_requests_prompts_and_grades_are_told():
    assert request_of(9, None) == {"max_completion_tokens": 9}
    assert request_of(9, 0.5)["temperature"] == 0.5
    assert (judging_request(9), judging_request(1024)) == (
        {"max_completion_tokens": 512},
        {"max_completion_tokens": 1024},
    )
    assert "{prompt}" in described("evolve", None)["user"]
    assert summary([]) == {"graded": 0, "mean_grade": None}


def test_a_model_on_this_machine_is_read_once_to_be_known(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"w")
    alone = Task(("default", tmp_path, None), "judge", (), {}, [], Wish(teacher=str(folder)))
    judged = replace(alone, judge=Wish(teacher=str(folder)))
    known = alone.who
    assert judged.judging == known
    (folder / "weights").unlink()
    folder.rmdir()
    assert (alone.who, alone.judging, judged.judging, alone.called) == (known, known, known, "model")
    assert alone.told()["url"] == known.url
