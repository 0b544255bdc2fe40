from __future__ import annotations

import re

from stillhouse.data.curation.curation import STEPS, Curation
from stillhouse.data.curation.languages import COMMON
from stillhouse.recipes.toml import fill
from tests.structure.source import ROOT

PAGE = (ROOT / "docs" / "curation.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_every_step_has_its_row_and_no_other():
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert rows == list(STEPS)


def test_the_recipe_and_the_program_run(capsys):
    import tomllib

    table = {key.replace("-", "_"): value for key, value in tomllib.loads(block("toml")).items()}
    assert fill(Curation, table, "The page").languages.keep == ("en", "de")
    exec(compile(block("python"), "docs/curation.md", "exec"), {})
    assert "'duplicate': 1" in capsys.readouterr().out


def test_figures_of_the_page_are_those_of_the_code():
    assert f"{len(COMMON)} languages are told apart" in PAGE
