from __future__ import annotations

import pytest

from stillhouse.cli.main import run
from stillhouse.extras import installed
from tests.cli.curating import add, caller, chat

SCENES = [
    "my parcel {} is late and not delivered",
    "i forgot password {} and cannot log in",
    "refund the double charge {} on my card",
]


@pytest.fixture
def call(tmp_path, capsys):
    add(tmp_path, "support", [chat(SCENES[scene].format(row), "ok", row) for scene in (0, 1) for row in range(30)])
    add(tmp_path, "calls", [chat(SCENES[scene].format(row), "ok", row) for scene in (0, 1, 2) for row in range(20)])
    return caller(tmp_path, capsys)


def test_scenarios_and_what_to_collect_next(call, tmp_path, capsys):
    code, told = call("coverage", "support", "--traffic", "calls", "--clusters", "3")
    assert code == 0
    assert (told["dataset"], told["counts"]["scenarios"]) == ("support@1", 3)
    assert [each["do"] for each in told["gaps"]] == ["collect"]
    assert told["gaps"][0]["rows"] == 20
    assert "refund" in told["gaps"][0]["example"]
    assert run(["data", "coverage", "support", "--home", str(tmp_path), "--clusters", "2"]) == 0
    assert "No scenario is thin" in capsys.readouterr().out


@pytest.mark.skipif(not installed("minilm"), reason="the extra minilm is not installed")
def test_an_encoder_may_say_what_is_alike(call):
    told = call("coverage", "support", "--clusters", "2", "--vectors", "minilm")[1]
    assert [each["rows"] for each in told["scenarios"]] == [30, 30]


def test_wrong_use_is_told(call):
    code, told = call("coverage", "support", "--clusters", "5000")
    assert code == 2
    assert "between 1 and 1000" in told["error"]["message"]
