"""The `words` student in C reads every text as Python does, and scores it as the trained student."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillhouse.export.c_build import Program, lines_of
from stillhouse.export.c_source import Answers
from stillhouse.export.c_words import words_source
from stillhouse.models.ngrams import ngram_ids
from stillhouse.models.tokenizers import NgramReader, pad
from stillhouse.students.words import WordsStudent
from tests.export.c_programs import compiler, rows_read, written
from tests.export.texts import HARD, at_random, every_character

BUCKETS, LABELS = 4_093, 5
ANSWERS = Answers((("a", "b"), ("c", "d", "e")), (1.0, 0.7))
ROW = ("seen_count", "row_of(seen[at])")


def source(limit: int = 1_024, kept: float = 1.0):
    random = np.random.default_rng(0)
    table = random.standard_normal((BUCKETS, LABELS)) * 0.3
    table[random.random(BUCKETS) >= kept] = 0
    return table, words_source(table, np.linspace(-1, 1, LABELS), limit, ANSWERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(source()[1], tmp_path_factory.mktemp("words"))


def test_it_reads_every_text_as_python_does(folder):
    texts = [text.replace("\n", " ") for text in (*HARD, *at_random(150), *every_character()[::23])]
    expected = [ngram_ids(text, BUCKETS, 1_024).tolist() for text in texts]
    assert rows_read(folder, texts, *ROW) == expected


def test_of_too_many_grams_it_keeps_the_same_ones(tmp_path):
    texts = [" ".join(f"{word * 7}{word}" for word in range(length)) for length in (1, 4, 9, 400)]
    made = written(source(limit=50)[1], tmp_path / "short")
    assert rows_read(made, texts, *ROW) == [ngram_ids(text, BUCKETS, 50).tolist() for text in texts]


def test_what_is_not_utf8_reads_as_python_reads_it(folder):
    random = np.random.default_rng(1)
    heads = np.array([0x41, 0x20, 0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF], dtype=np.uint8)
    lines = [bytes(random.choice(heads, size=12)) for _ in range(400)]
    expected = [ngram_ids(line.decode(errors="replace"), BUCKETS, 1_024).tolist() for line in lines]
    assert rows_read(folder, b"\n".join(lines) + b"\n", *ROW) == expected


@pytest.mark.parametrize("kept", [1.0, 0.05])
def test_it_scores_as_the_student_that_it_was_made_from(kept, tmp_path):
    table, made = source(kept=kept)
    assert ("WORDS_SPARSE" in made.macros) == (kept < 1)
    student = WordsStudent(BUCKETS, LABELS)
    with torch.no_grad():
        student.table.weight.copy_(torch.from_numpy(table))
        student.bias.copy_(torch.linspace(-1, 1, LABELS))
    texts = [text.replace("\n", " ") for text in (*HARD, *at_random(200))]
    ids, mask = pad(NgramReader(BUCKETS, 1_024).ids(texts))
    with torch.no_grad():
        expected = student(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    with Program(written(made, tmp_path), compiler(), sanitize=True) as program:
        found = program.scores(lines_of(texts))
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).mean() < 0.01
    assert (found[:, 2:].argmax(1) == expected[:, 2:].argmax(1)).mean() > 0.97


def test_a_table_of_zeros_says_its_bias(tmp_path):
    made = words_source(np.zeros((BUCKETS, LABELS)), np.linspace(-1, 1, LABELS), 64, ANSWERS)
    with Program(written(made, tmp_path), compiler()) as program:
        assert np.allclose(program.scores(b"any words\n\n"), np.linspace(-1, 1, LABELS), atol=1e-4)
