"""`stillhouse quickstart` and the traffic it brings."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files

import pytest

from tests.recipes.runs import ROOT, run

EMAIL = re.compile(r"[\w.+-]+@([\w-]+\.)+[a-z]{2,}", re.IGNORECASE)
PHONE = re.compile(r"(?<![\w-])\+?\d[\d ()/-]{8,}\d(?![\w-])")
RESERVED = re.compile(r"example\.(com|org|net)$|\.(example|invalid|test)$")


@pytest.fixture(scope="module")
def traffic() -> list[dict]:
    with gzip.open(files("stillhouse.data") / "samples" / "support_desk.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def requests(traffic) -> list[str]:
    return [row["messages"][1]["content"].removeprefix("Customer message:\n") for row in traffic]


def test_the_bundled_traffic_is_large_and_has_the_fields_it_promises(traffic, requests):
    assert len(set(requests)) >= 1_500
    answers = [json.loads(row["messages"][2]["content"]) for row in traffic]
    assert all(set(answer) == {"intent", "priority"} for answer in answers)
    assert len({answer["intent"] for answer in answers}) >= 12
    assert len({answer["priority"] for answer in answers}) == 4


def test_requests_are_written_one_by_one(requests):
    starts = Counter(" ".join(re.findall(r"[\w']+", request.lower())[:5]) for request in requests)
    assert starts.most_common(1)[0][1] < 0.01 * len(requests)
    lengths = sorted(len(request.split()) for request in requests)
    assert lengths[len(lengths) // 20] <= 8, "terse ones"
    assert lengths[-len(lengths) // 20] >= 40, "rambling ones"


def test_nobody_real_is_in_it(requests):
    mails = [match.group() for request in requests for match in EMAIL.finditer(request)]
    assert [mail for mail in mails if not RESERVED.search(mail.rpartition("@")[2].lower())] == []
    assert [match.group() for request in requests for match in PHONE.finditer(request)] == []


def test_its_help_says_that_the_traffic_is_synthetic():
    done = run("quickstart", "--help")
    assert done.code == 0
    assert "synthetic" in done.out


@pytest.mark.slow
def test_the_whole_flow_ends_with_an_answered_call(tmp_path):
    command = [sys.executable, "-m", "stillhouse", "quickstart", "--json"]
    command += ["--out", str(tmp_path / "student"), "--home", str(tmp_path / "home")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1_200)
    assert done.returncode == 0, done.stderr
    call = json.loads(done.stdout)["call"]
    assert set(json.loads(call["answer"])) == {"intent", "priority"}
    assert call["route"].startswith("student")
