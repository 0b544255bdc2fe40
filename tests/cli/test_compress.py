"""`stillhouse compress` at the terminal: what people read, and what is asked of them."""

from __future__ import annotations

from tests.recipes.compressions import BITS, compress, trained
from tests.recipes.runs import run

__all__ = ["trained"]


def test_people_read_a_table_and_a_sentence(trained, tmp_path):
    data = ("--data", trained / "rows.jsonl", "--test", trained / "test.jsonl", "--tokens", 32)
    place = ("--out", tmp_path / "small", "--home", tmp_path / "home")
    done = run("compress", trained / "whole", *data, *place, *BITS)
    assert done.code == 0, done.err
    assert "the whole model" in done.out
    assert "smaller at" in done.out
    assert "report.html" in done.out
    assert "Trial 1, of 1 at most" in done.err


def test_a_folder_of_other_things_is_left_alone(trained, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "letter").write_text("x")
    done = compress(trained, tmp_path, "--target-mb", 1)
    assert done.code == 2
    assert "holds other things" in done.json["error"]["message"]
