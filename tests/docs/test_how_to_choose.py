"""The guide names every objective, source and student there is, and shows no figure that was not measured."""

from __future__ import annotations

import json
import re
import runpy

import pytest

from stillhouse.objectives.catalog import CATALOG
from stillhouse.recipes.sections import SourceKind
from stillhouse.students.ladder import Rung
from tests.structure.source import ROOT

PAGE = (ROOT / "docs" / "how-to-choose.md").read_text(encoding="utf-8")
EVIDENCE = runpy.run_path(str(ROOT / "docs" / "evidence.py"))
PARTS = re.findall(r"<!-- evidence: (\w+) -->", PAGE)
PROSE = EVIDENCE["MARKED"].sub("", PAGE)


@pytest.mark.parametrize("kind", [kind.__name__ for kind, _ in CATALOG.values()])
def test_every_objective_has_its_place(kind):
    assert re.search(rf"`(?:[^`]*\W)?{kind}\b", PROSE)


@pytest.mark.parametrize("source", list(SourceKind))
def test_every_source_has_its_row(source):
    assert re.search(rf"^\| `{source}` \|", PROSE, re.MULTILINE)


@pytest.mark.parametrize("rung", [Rung("words").name, Rung("static").name, "encoder-K"])
def test_every_rung_has_its_row(rung):
    assert re.search(rf"^\| `{rung}`", PROSE, re.MULTILINE)


def test_it_names_no_objective_that_there_is_not():
    known = {kind.__name__ for kind, _ in CATALOG.values()}
    named = set(re.findall(r"`([A-Z]\w+)`", PROSE))
    assert named <= known


def test_tables_are_those_of_the_results():
    assert EVIDENCE["fill"](PAGE) == PAGE


def test_every_part_is_shown_once():
    assert sorted(PARTS) == sorted(EVIDENCE["PARTS"])


def test_figures_stand_in_the_tables_alone():
    assert re.findall(r"\d+\.\d{2,}|\d ?%|±", PROSE) == []


@pytest.mark.parametrize("part", ["quality", "texts", "pictures"])
def test_a_verdict_follows_from_the_interval_beside_it(part):
    table = next(found for found in EVIDENCE["MARKED"].finditer(PAGE) if found[2] == part)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "±" in line]
    if not rows and EVIDENCE["result"](EVIDENCE["PARTS"][part][0]) is None:
        pytest.skip("not measured yet")
    judged = [row for row in rows if row[-1] in ("better", "worse", "cannot tell")]
    assert judged
    for row in judged:
        gain = row[-2] if part == "quality" or row[0].startswith("+") else row[-3]
        mean, half = (float(number) for number in gain.split(" ± "))
        allowed = {"better"} if mean > half else {"worse"} if mean < -half else {"cannot tell"}
        near = {"better", "worse", "cannot tell"} if abs(abs(mean) - half) <= 0.011 else set()
        assert row[-1] in allowed | near


def test_results_hold_no_path_of_a_machine_and_were_whole_runs():
    for name in ("quality", "features", "embeddings"):
        found = EVIDENCE["result"](name)
        if found is None:
            continue
        assert not found["quick"]
        assert len(found["seeds"]) >= 3
        assert not re.search(r'"/(?:\w+/)+', json.dumps(found))


def test_a_part_without_a_result_says_how_to_measure_it(monkeypatch, tmp_path):
    monkeypatch.setitem(EVIDENCE["result"].__globals__, "RESULTS", tmp_path)
    assert EVIDENCE["made"]("quality") == "*Not measured yet: `python benchmarks/quality.py`.*"


def test_a_part_that_nobody_makes_is_refused():
    with pytest.raises(KeyError):
        EVIDENCE["fill"]("<!-- evidence: luck -->\n<!-- end -->")
