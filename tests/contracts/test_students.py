"""What holds for every family of students: shapes, padding, export, quantisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from stillhouse.artifacts import hash_file
from stillhouse.compression.quantize import quantize
from stillhouse.export.onnx import export_onnx
from tests.models import tiny
from tests.students.families import FAMILIES, LABELS, student

every_family = pytest.mark.parametrize("family", FAMILIES)
SHAPES = [(1, 1), (1, 7), (3, 12), (16, 38)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, Path]:
    """Every family's graph, exported once."""
    folder = tmp_path_factory.mktemp("exported")
    paths = {family: folder / f"{family}.onnx" for family in FAMILIES}
    for family, path in paths.items():
        export_onnx(student(family), path)
    return paths


def batch(rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and a mask; rows end at different places, and one has a single token."""
    ids, mask = tiny.ids(rows, tokens), torch.ones(rows, tokens, dtype=torch.long)
    for row in range(1, rows):
        mask[row, max(1, tokens - row) :] = 0
    return ids * mask, mask


def logits_of(graph: Path, ids: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]


@every_family
def test_it_answers_with_every_label_of_every_row(family):
    for shape in SHAPES:
        assert student(family)(*batch(*shape)).shape == (shape[0], LABELS)


@every_family
def test_padding_does_not_change_an_answer(family):
    made, ids = student(family), tiny.ids(2, 9)
    mask = torch.ones_like(ids)
    padded = torch.nn.functional.pad(ids, (0, 6)), torch.nn.functional.pad(mask, (0, 6))
    with torch.no_grad():
        assert torch.allclose(made(ids, mask), made(*padded), atol=1e-5)
        assert not torch.allclose(made(ids, mask), made(tiny.ids(2, 9, seed=1), mask), atol=1e-3), "it reads its text"


@every_family
def test_learning_rates_cover_every_weight_once(family):
    made = student(family)
    covered = [id(weight) for part, rate in made.learning_rates() for weight in part.parameters() if rate > 0]
    assert sorted(covered) == sorted(id(weight) for weight in made.parameters())


@every_family
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_graph_gives_the_same_logits(family, shape, exported):
    with torch.no_grad():
        expected = student(family)(*batch(*shape)).numpy()
    assert np.abs(logits_of(exported[family], *batch(*shape)) - expected).max() < 1e-4


@every_family
def test_eight_bits_mostly_agree(family, exported, tmp_path):
    quantize(exported[family], tmp_path / "int8.onnx")
    ids, mask = batch(200, 12)
    whole, small = (logits_of(graph, ids, mask) for graph in (exported[family], tmp_path / "int8.onnx"))
    assert (whole.argmax(1) == small.argmax(1)).mean() > 0.9
    assert (tmp_path / "int8.onnx").stat().st_size < exported[family].stat().st_size


@pytest.mark.parametrize("family", ["words", "static", "encoder"])
def test_the_same_weights_give_the_same_bytes(family, exported, tmp_path):
    export_onnx(student(family), tmp_path / "again.onnx")
    assert hash_file(tmp_path / "again.onnx") == hash_file(exported[family])
    for name in ("one", "two"):
        quantize(exported[family], tmp_path / name)
    assert hash_file(tmp_path / "one") == hash_file(tmp_path / "two")
