"""A student that was kept answers as before, in a process that knows nothing else of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from stillhouse.artifacts import hash_file
from stillhouse.errors import BundleError, UsageError
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.trained import RECORD, WEIGHTS, load_trained, record_of, save_trained
from stillhouse.students.vocabulary import keep_tokens
from tests.models import tiny
from tests.students.families import FAMILIES, LABELS, student


@pytest.mark.parametrize("family", FAMILIES)
def test_it_answers_as_before_bit_for_bit(family, tmp_path):
    made, ids = student(family), tiny.ids(3, 9)
    save_trained(made, tmp_path)
    again, build = load_trained(tmp_path)
    assert not again.training
    assert build == record_of(made) == record_of(again)
    assert build.labels == LABELS
    with torch.no_grad():
        assert torch.equal(made(ids, torch.ones_like(ids)), again(ids, torch.ones_like(ids)))


def test_one_whose_vocabulary_was_trimmed_too(tmp_path):
    encoder = tiny.encoder()
    keep_tokens(encoder, list(range(40)))
    made, ids = EncoderStudent(encoder, LABELS).eval(), tiny.ids(2, 5) % 40
    save_trained(made, tmp_path)
    again, _ = load_trained(tmp_path)
    with torch.no_grad():
        assert torch.equal(made(ids, torch.ones_like(ids)), again(ids, torch.ones_like(ids)))


def test_its_bytes_are_the_same_each_time_and_name_no_folder(tmp_path):
    for name in ("one", "two"):
        source = tiny.save(tmp_path / f"source-{name}", tiny.encoder(), tiny.wordpiece())
        encoder = type(tiny.encoder()).from_pretrained(source)
        torch.manual_seed(0)
        (tmp_path / name).mkdir()
        save_trained(EncoderStudent(encoder, LABELS), tmp_path / name)
    for name in (WEIGHTS, RECORD):
        assert hash_file(tmp_path / "one" / name) == hash_file(tmp_path / "two" / name)
    assert str(tmp_path) not in (tmp_path / "one" / RECORD).read_text()


def test_loading_draws_no_random_numbers(tmp_path):
    save_trained(student("encoder"), tmp_path)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    load_trained(tmp_path)
    assert torch.equal(torch.rand(1), expected)


def test_what_is_no_student_is_refused(tmp_path):
    with pytest.raises(UsageError, match="Linear is no student"):
        save_trained(torch.nn.Linear(2, 2), tmp_path)
    assert RECORD not in {path.name for path in tmp_path.iterdir()}


def spoil_labels(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(record | {"labels": 9}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), f"holds no {WEIGHTS}"),
        (lambda folder: (folder / RECORD).unlink(), f"holds no {RECORD}"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"torn"), "cannot be built again"),
        (lambda folder: (folder / RECORD).write_text("{"), "cannot be built again"),
        (lambda folder: (folder / RECORD).write_text('{"family": "tree", "labels": 2}'), "no family .* 'tree'"),
        (spoil_labels, "cannot be built again"),
    ],
)
def test_damage_is_told(spoil, told, tmp_path):
    save_trained(student("words"), tmp_path)
    spoil(tmp_path)
    with pytest.raises(BundleError, match=told):
        load_trained(tmp_path)
