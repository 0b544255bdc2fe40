from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.load import read_options

KNOWN = {"margin": float, "seed": int, "skip_bad_rows": bool, "out": str, "traffic": list}


def read(tmp_path, text: str) -> dict:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_options(path, KNOWN)


def test_options_come_by_name_whether_dashed_or_not(tmp_path):
    text = 'margin = 1\nskip-bad-rows = true\nout = "x"\ntraffic = ["a", "b"]\nseed = 3\n'
    assert read(tmp_path, text) == {
        "margin": 1,
        "skip_bad_rows": True,
        "out": "x",
        "traffic": ["a", "b"],
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sead = 1", "Did you mean 'seed'"),
        ("zzzzzz = 1", "Known are margin, out"),
        ("seed = 1.5", "seed = 1.5; it must be a whole number"),
        ("seed = true", "a whole number"),
        ("margin = '1e-2'", "a number"),
        ("skip_bad_rows = 1", "true or false"),
        ("out = 1", "a text"),
        ("traffic = 'a'", "a list of texts"),
        ("traffic = ['a', 1]", "a list of texts"),
        ("[seed]\nx = 1", "a whole number"),
        ("seed", "is not TOML"),
    ],
)
def test_mistakes_are_named(text, told, tmp_path):
    with pytest.raises(UsageError, match=r"recipe\.toml") as error:
        read(tmp_path, text)
    assert told in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_options(tmp_path / "none.toml", KNOWN)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not TOML"):
        read_options(tmp_path / "binary", KNOWN)
