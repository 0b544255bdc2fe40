"""The prompts that come with Stillhouse, and the user's in their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.generation.forms import FORMS, form, inquiry

FILES = Path(form.__code__.co_filename).parent / "prompts"


@pytest.mark.parametrize("name", FORMS)
def test_every_prompt_uses_the_blanks_that_are_filled_in(name):
    template = form(name)
    assert template.blanks == set(FORMS[name])
    filled = template.fill({blank: f"<{blank}>" for blank in FORMS[name]})
    assert all(f"<{blank}>" in filled[-1]["content"] for blank in FORMS[name])


@pytest.mark.parametrize("name", [name for name in FORMS if name != "context"])
def test_a_prompt_shows_the_json_that_it_wants(name):
    words = form(name).fill(dict.fromkeys(FORMS[name], "x"))[-1]["content"]
    assert isinstance(json.loads(words[words.rindex("{") :]), dict)


def test_a_file_of_the_user_takes_its_place(tmp_path):
    own = tmp_path / "mine.txt"
    own.write_text("Make {count} more.")
    asked = json.loads(inquiry("m", "prompts_from_seeds", {"temperature": 1}, own).question("k", {"count": "3"}).body)
    assert asked == {"model": "m", "messages": [{"role": "user", "content": "Make 3 more."}], "temperature": 1}


def test_a_blank_that_nobody_fills_is_named(tmp_path):
    own = tmp_path / "mine.txt"
    own.write_text("Make {counts} more.")
    with pytest.raises(UsageError, match=r"mine.txt: Nothing fills the blank \{counts\}. Did you mean \{count\}"):
        form("prompts_from_seeds", own)


def test_every_file_is_known():
    ours = {path.stem for path in FILES.glob("*.toml")}
    assert set(FORMS) <= ours
